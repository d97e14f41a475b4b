import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import unittest
from unittest import mock

from shop.app import Shop
from shop.server import Server, build_version


class ServerTest(unittest.TestCase):
    def setUp(self):
        self.server = Server(("127.0.0.1", 0), Shop())
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)

    def tearDown(self):
        self.connection.close()
        self.server.drain(5)

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        return response, response.read().decode()

    def test_keeps_the_connection(self):
        self.assertEqual(self.ask("GET", "/health")[0].status, 200)
        first = self.connection.sock
        response, body = self.ask("POST", "/cart", "slug=mint", {"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual((response.status, body), (303, ""))
        cookie = response.getheader("Set-Cookie").split(";")[0]
        self.assertIn("Moroccan Mint", self.ask("GET", "/cart?from=mail", headers={"Cookie": cookie})[1])
        response, body = self.ask("HEAD", "/")
        self.assertEqual((response.status, body), (200, ""))
        self.assertIs(self.connection.sock, first)

    def test_refuses_bodies_it_cannot_read(self):
        response, _ = self.ask("POST", "/cart", headers={"Content-Length": "99999999"})
        self.assertEqual((response.status, response.getheader("Connection")), (413, "close"))
        self.assertEqual(self.ask("POST", "/cart", headers={"Content-Length": "many"})[0].status, 400)
        self.assertEqual(self.ask("POST", "/cart", iter([b"slug=mint"]), {"Transfer-Encoding": "chunked"})[0].status, 400)

    def test_a_mistake_of_ours_is_a_500_and_the_next_request_works(self):
        with mock.patch.object(self.server.shop.catalogue, "products", side_effect=RuntimeError("oh")), self.assertLogs("shop", "ERROR"):
            self.assertEqual(self.ask("GET", "/")[0].status, 500)
        self.assertEqual(self.ask("GET", "/", headers={"Cookie": "@=;;x"})[0].status, 200)

    def test_drains_without_cutting_anybody_off(self):
        entered, leave = threading.Event(), threading.Event()

        def slow(slugs):
            entered.set()
            leave.wait(5)
            return {slug: 1 for slug in slugs}

        answers = []
        with mock.patch.object(self.server.shop.warehouse, "stock", slow):
            asking = threading.Thread(target=lambda: answers.append(self.ask("GET", "/products/mint")[0]))
            asking.start()
            self.assertTrue(entered.wait(5))
            ended = []
            draining = threading.Thread(target=lambda: ended.append(self.server.drain(5)))
            draining.start()
            leave.set()
            asking.join(5)
            draining.join(5)
        self.assertEqual((answers[0].status, ended), (200, [True]))
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()


class ProcessTest(unittest.TestCase):
    def start(self, **environment):
        return subprocess.Popen([sys.executable, "-m", "shop"], env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)

    def test_serves_on_the_port_it_is_given_and_ends_on_sigterm(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = self.start(PORT=str(port))
        self.addCleanup(process.kill)
        self.assertIn("listening on http://127.0.0.1:%d" % port, process.stderr.readline())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/health/ready")
        self.assertEqual(connection.getresponse().read(), b'{"status": "ok", "database": "ok"}')
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=5)[1]
        connection.close()
        self.assertEqual(process.returncode, 0)
        self.assertIn("stopped\n", rest)

    def test_a_port_that_is_no_number_is_told(self):
        process = self.start(PORT="http")
        self.assertEqual(process.communicate(timeout=5)[1], "shop: PORT must be a number, not 'http'\n")
        self.assertEqual(process.returncode, 1)

    def test_knows_its_version_when_it_was_built(self):
        self.assertEqual(build_version(), "dev")
        with mock.patch("builtins.open", mock.mock_open(read_data="4f2e1a\n")):
            self.assertEqual(build_version(), "4f2e1a")
