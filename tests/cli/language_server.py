"""language_server.py GRAFT SOURCES: what an editor shows that uses the schema of `graft schema`: the configs of the project
have no errors, mistakes are marked where they are, names are completed, and hovering shows the documentation. Needs
yaml-language-server, the server of VS Code's extension YAML (npm install -g yaml-language-server; or its path in
YAML_LANGUAGE_SERVER); 77 (skipped) without it."""

import atexit
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

server = os.environ.get("YAML_LANGUAGE_SERVER") or shutil.which("yaml-language-server")
if server is None:
    print("skipped: yaml-language-server is not installed; npm install -g yaml-language-server")
    sys.exit(77)

graft, sources = sys.argv[1], pathlib.Path(sys.argv[2])
LIMIT_SECONDS = 100


class Client:
    """One conversation with a server: requests by JSON-RPC, answers and notifications as they come."""

    def __init__(self):
        self.process = subprocess.Popen([server, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        # A server that does not answer ends the test: reading then sees the end of its output.
        self.limit = threading.Timer(LIMIT_SECONDS, self.process.kill)
        self.limit.daemon = True
        self.limit.start()
        self.requests = 0
        self.diagnostics = {}
        self.ask("initialize", {"processId": os.getpid(), "rootUri": None, "capabilities": {}})
        self.send("initialized", {})
        self.send("workspace/didChangeConfiguration",
                  {"settings": {"yaml": {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}}}})

    def close(self):
        self.limit.cancel()
        self.process.kill()
        self.process.wait()

    def write(self, message):
        text = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(text) + text)
        self.process.stdin.flush()

    def send(self, method, params):
        self.write({"method": method, "params": params})

    def read(self):
        length = 0
        while line := self.process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length == 0:
            sys.exit("the language server has ended, or has not answered in time")
        message = json.loads(self.process.stdout.read(length))
        if message.get("method") == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:  # it asks for settings: those that were sent stand
            items = message["params"].get("items", []) if isinstance(message.get("params"), dict) else []
            self.write({"id": message["id"], "result": [None] * len(items) if items else None})
        return message

    def ask(self, method, params):
        self.requests += 1
        self.write({"id": self.requests, "method": method, "params": params})
        while True:
            message = self.read()
            if message.get("id") == self.requests and "method" not in message:
                return message["result"]

    def open(self, name, text):
        """The URI of a document, when the server has judged it."""
        uri = "file:///configs/" + name
        self.send("textDocument/didOpen",
                  {"textDocument": {"uri": uri, "languageId": "yaml", "version": 1, "text": text}})
        while uri not in self.diagnostics:
            self.read()
        return uri

    def at(self, uri, line, character):
        return {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}


faults = []


def expect(what, condition, got):
    if not condition:
        faults.append(f"{what}: got {got}")


with tempfile.TemporaryDirectory() as folder:
    schema = pathlib.Path(folder) / "graft.schema.json"
    schema.write_text(subprocess.run([graft, "schema"], check=True, capture_output=True, text=True).stdout)
    installed = json.loads(subprocess.run([graft, "plugins", "--json"], check=True, capture_output=True, text=True).stdout)
    names = {plugin["name"] for plugin in installed["plugins"]}
    mode = f"# yaml-language-server: $schema={schema.as_uri()}\n"  # the line for editors of configs/README.md
    client = Client()
    atexit.register(client.close)

    judged = 0
    for config in sorted((sources / "configs").glob("*.yaml")):
        text = config.read_text()
        if "pretrain" in text + config.name and "pretrain" not in names or "finetune" in text and "finetune" not in names:
            continue  # a build without LibTorch
        uri = client.open(config.name, mode + text)
        judged += 1
        expect(config.name, client.diagnostics[uri] == [], client.diagnostics[uri])
    expect("configs", judged > 4, judged)

    uri = client.open("mistakes.yaml", mode + """name: x
stages:
  images: {plugin: synthetic}
  knn: {plugin: knn, from: images, with: {k: 0, kk: 5, metric: near}}
  other: {plugin: knnn}
""")
    marked = {(d["range"]["start"]["line"], d["range"]["start"]["character"]) for d in client.diagnostics[uri]}
    for what, line, character in (("k: 0", 4, 45), ("kk", 4, 48), ("metric: near", 4, 63), ("knnn", 5, 18)):
        expect(f"mark at '{what}'", (line, character) in marked, client.diagnostics[uri])

    def completed(uri, line, character):
        answer = client.ask("textDocument/completion", client.at(uri, line, character))
        return {item["label"]: item for item in answer["items"]}

    uri = client.open("completion.yaml", mode + """name: x
stages:
  knn:
    plugin: knn
    from: images
    with:
      k: 5
      me
  other:
    plugin: 
""")
    offered = completed(uri, 8, 8)
    expect("parameters of knn", "metric" in offered and "root" not in offered, sorted(offered))
    plugins = completed(uri, 10, 12)
    expect("plugins", {"knn", "decode", "image_folder"} <= set(plugins), sorted(plugins))

    hovered = client.ask("textDocument/hover", client.at(uri, 7, 6))
    described = json.loads(subprocess.run([graft, "describe", "knn", "--json"], check=True, capture_output=True, text=True).stdout)
    sentence = next(p for p in described["params"] if p["name"] == "k")["text"]
    shown = json.dumps(hovered, ensure_ascii=False).replace("\\\\", "")
    expect("hovering over k", sentence.split(".")[0] in shown, hovered)

print("\n".join(faults) or f"{judged} configs without errors, 4 mistakes marked, completion and hover as in the schema")
sys.exit(1 if faults else 0)
