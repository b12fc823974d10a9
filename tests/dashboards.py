"""How tests read what a dashboard was told: by wandb's own reader, by TensorBoard's, and by Python's of CSV."""

import csv
import http.server
import json
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace


def wandb_run(folder: Path) -> SimpleNamespace:
    """Read the file of an offline run as ``wandb leet inspect --json`` does: card, steps, summary, whether it ended."""
    from wandb.util import get_core_path

    words = [get_core_path(), "leet", "inspect", "--no-observability", "--json"]
    (file,) = folder.glob("run-*.wandb")
    read = subprocess.run([*words, "--run-file", file, folder.parent], capture_output=True, text=True, check=True)
    records = [json.loads(line) for line in read.stdout.splitlines() if line.startswith("{")]
    found = SimpleNamespace(card={}, steps=[], summary={}, ended=False)
    for record in records:
        kind = record["type"]
        if kind == "run":
            found.card |= record["run"]
        elif kind == "history":
            found.steps.append({k: v for k, v in record["history"]["item"].items() if k[0] != "_" or k == "_step"})
        elif kind == "summary":
            found.summary |= record["summary"].get("update", {})
        found.ended |= kind == "exit"
    return found


def wandb_runs(store: Path) -> dict[str, list[SimpleNamespace]]:
    """Return id -> the parts of a run, in order."""
    found: dict[str, list[SimpleNamespace]] = {}
    for folder in sorted((store / "tracking" / "wandb").glob("offline-run-*")):
        part = wandb_run(folder)
        found.setdefault(part.card.get("run_id", folder.name), []).append(part)
    return found


def events(folder: Path) -> SimpleNamespace:
    """Read a folder of event files: scalars as (step, value), the steps of images, texts."""
    from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={TENSORS: 0}).Reload()
    scalars = {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
    images = {tag: [e.step for e in read.Images(tag)] for tag in read.Tags()["images"]}
    texts = {tag: [e.tensor_proto.string_val[0].decode() for e in read.Tensors(tag)] for tag in read.Tags()["tensors"]}
    return SimpleNamespace(scalars=scalars, images=images, texts=texts)


def rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV file, without what rows lack."""
    with path.open(newline="") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


class Server:
    """In place of wandb's: keeps what a run sends, and says how far it has come; or refuses every key.

    ``lines``: of the history, as they were sent. ``url``: what WANDB_BASE_URL is to be.
    """

    def __init__(self, refuses: bool = False) -> None:
        self.refuses, self.lines, self.summary = refuses, list[str](), "{}"
        answer = self._answer

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(401 if refuses else 200)
                self.end_headers()
                self.wfile.write(json.dumps(answer(self.path, body)).encode())

            do_PUT = do_POST

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Server":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _answer(self, path: str, body: bytes) -> dict:
        if self.refuses:
            return {"errors": [{"message": "invalid key"}]}
        if path.endswith("file_stream"):
            files = json.loads(body).get("files") or {}
            if history := files.get("wandb-history.jsonl"):
                self.lines = [*self.lines[: history["offset"]], *history["content"]]
            if summary := files.get("wandb-summary.json"):
                self.summary = summary["content"][-1]
            return {}
        asked = json.loads(body) if path == "/graphql" else {"query": ""}
        project = {"id": "p", "name": "latent_ot", "entity": {"id": "e", "name": "someone"}}
        if "RunResumeStatus" in asked["query"]:
            counts = {"historyLineCount": len(self.lines), "eventsLineCount": 0, "logLineCount": 0}
            tails = {"historyTail": json.dumps(self.lines[-1:]), "eventsTail": "[]", "summaryMetrics": self.summary}
            told = {"id": "r", "name": "r", "displayName": "r", "config": "{}", "wandbConfig": '{"t": 1}', "tags": []}
            return {"data": {"model": {**project, "bucket": {**told, **counts, **tails} if self.lines else None}}}
        if "upsertBucket" in asked["query"]:
            bucket = {"id": "r", "name": "r", "displayName": "r", "config": "{}", "project": project}
            return {"data": {"upsertBucket": {"bucket": bucket, "inserted": not self.lines}}}
        if "createRunFiles" in asked["query"]:
            files = [{"name": name, "uploadUrl": f"{self.url}/{name}"} for name in asked["variables"]["files"]]
            return {"data": {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}}
        return {"data": {}}
