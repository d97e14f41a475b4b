"""A forge as far as GitHub Apps go: `python3 forge.py PUBLIC_KEY LOG`, on a port that it prints. Each request is a line of LOG.
Repositories lie in the folder `git` beside LOG.

Installation 1 is of octo, with the repository `shop`; 3 never answers; 4 answers only who asks again."""

import base64, http.server, json, os, secrets, subprocess, sys, tempfile, time

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

    def git(self):
        """Pushes and fetches, for whoever shows a token that may write."""
        shown = base64.b64decode(self.headers.get("authorization", "").removeprefix("basic ")).decode()
        if tokens.get(shown.removeprefix("x-access-token:"), {}).get("contents") != "write":
            self.send_response(401)
            self.send_header("www-authenticate", 'Basic realm="git"')
            self.send_header("content-length", "0")
            return self.end_headers()
        path, _, query = self.path.partition("?")
        env = {
            "GIT_PROJECT_ROOT": os.path.join(os.path.dirname(LOG), "git"), "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_USER": "app",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command, "PATH": os.environ["PATH"],
            "CONTENT_TYPE": self.headers.get("content-type", ""), "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
        }
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        said = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE).stdout
        head, _, rest = said.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)

    def do(self):
        global asked_again
        if ".git/" in self.path:
            return self.git()
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
