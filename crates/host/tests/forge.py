"""A forge as far as GitHub Apps go: `python3 forge.py PUBLIC_KEY LOG`, on a port that it prints. Each request is a line of LOG.

Installation 1 is of octo, with the repository `shop`; 3 never answers; 4 answers only who asks again."""

import base64, http.server, json, secrets, subprocess, sys, tempfile, time

KEY, LOG = sys.argv[1:3]
GIVEN = {"metadata": "read", "contents": "write", "issues": "read"}
LEVELS = ["none", "read", "write"]
tokens, asked_again = {}, False


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def app_of(jwt):
    """Who signed it, as the forge sees it; nothing where it isn't believed."""
    parts = jwt.split(".")
    if len(parts) != 3 or json.loads(decoded(parts[0])) != {"alg": "RS256", "typ": "JWT"}:
        return None
    with tempfile.NamedTemporaryFile() as signature:
        signature.write(decoded(parts[2]))
        signature.flush()
        command = ["openssl", "dgst", "-sha256", "-verify", KEY, "-signature", signature.name]
        if subprocess.run(command, input=".".join(parts[:2]).encode(), capture_output=True).returncode:
            return None
    claims, now = json.loads(decoded(parts[1])), time.time()
    timely = claims["iat"] <= now < claims["exp"] <= now + 600
    return claims["iss"] if timely else None


class Forge(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, message=None):
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do(self):
        global asked_again
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "null")
        with open(LOG, "a") as log:
            log.write(json.dumps({"method": self.command, "path": self.path, "body": body}) + "\n")
        shown = self.headers.get("authorization", "").removeprefix("Bearer ")
        path = self.path.removeprefix("/api/v3").strip("/").split("/")
        if path == ["installation", "token"] and self.command == "DELETE":
            return self.answer(204) if tokens.pop(shown, None) else self.answer(401, {"message": "Bad credentials"})
        if path == ["installation", "repositories"]:
            return self.answer(200, tokens[shown]) if shown in tokens else self.answer(401, {"message": "Bad credentials"})
        if path[:2] != ["app", "installations"]:
            return self.answer(404, {"message": "Not Found"})
        if path[2] == "3":
            return time.sleep(3600)
        if path[2] == "4" and not asked_again:
            asked_again = True
            return self.answer(502, {"message": "Server Error"})
        if app_of(shown) != "12":
            return self.answer(401, {"message": "A JSON web token could not be decoded"})
        if path[2] not in ("1", "4"):
            return self.answer(404, {"message": "Not Found"})
        if len(path) == 3:
            return self.answer(200, {"id": 1, "account": {"login": "octo"}, "permissions": GIVEN})
        if body["repositories"] != ["shop"]:
            return self.answer(422, {"message": "There is at least one repository that is not accessible to the parent installation."})
        if any(LEVELS.index(level) > LEVELS.index(GIVEN.get(scope, "none")) for scope, level in body["permissions"].items()):
            return self.answer(422, {"message": "The permissions requested are not granted to this installation."})
        token = "ghs_" + secrets.token_hex(18)
        tokens[token] = body["permissions"]
        given = {"token": token, "expires_at": "2030-01-01T00:00:00Z", "permissions": body["permissions"]}
        self.answer(201, given | {"repositories": [{"full_name": "octo/shop"}]})

    do_GET = do_POST = do_DELETE = do

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forge)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
