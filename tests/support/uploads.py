"""Uploads of models to the stand-in Hub: requests of the client's `create_repo` and `upload_folder`."""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hf_stand_in"
USER = "me"
"""Owner of the token, who may create and change repositories under this name only."""
LARGE = (".parquet", ".safetensors", ".bin")
"""Extensions of files in large-file storage."""


class Uploads:
    """Mixin for the request handler of the Hub's own addresses (hub.py)."""

    hub: Any
    body: bytes
    path: str
    headers: Any
    send: Any
    send_json: Any

    sending = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)/(?P<call>preupload|commit)/(?P<revision>[^/]+)")
    large = re.compile(r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch")

    def receive(self) -> None:
        """Handle the requests of `create_repo` and `upload_folder`."""
        path, body = urlsplit(self.path).path, self.body
        if path == "/api/validate-yaml":
            return self.send_json({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.send(401, b"{}", X_Error_Message="Invalid username or password.")
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        call = self.sending.fullmatch(path) or self.large.fullmatch(path)
        if call is None:
            return self.send(404, b"")
        repository = self.hub.repositories.get(("model", call["name"]))
        if repository is None:
            return self.send(404, b"{}", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        if call["name"].partition("/")[0] != USER:
            return self.send(403, b"{}", X_Error_Message="You don't have the rights to write here.")
        if "call" not in call.groupdict():
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.hub.content_url}/{each['oid']}", "header": {}}}}
                for each in json.loads(body)["objects"]
            ]
            return self.send_json({"transfer": "basic", "objects": objects})
        if call["call"] == "preupload":
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            return self.send_json({"files": files})
        return self.add(call["name"], repository, [json.loads(line) for line in body.splitlines()])

    def create(self, request: dict[str, Any]) -> None:
        name = f"{request.get('organization') or USER}/{request['name']}"
        url = {"url": f"{self.hub.url}/{name}"}
        if name.partition("/")[0] != USER:
            return self.send(
                403, b"{}", X_Error_Message="You don't have the rights to create a model under this namespace"
            )
        if ("model", name) in self.hub.repositories:
            return self.send(409, json.dumps({**url, "error": "You already created this model repo"}).encode())
        private = request.get("visibility", "public") == "private"
        self.hub.commit("model", name, {".gitattributes": b"*.safetensors filter=lfs\n"}, private=private)
        self.send_json(url)

    def add(self, name: str, repository: Any, lines: list[dict[str, Any]]) -> None:
        """Add one commit, with one file per line."""
        files: dict[str, bytes] = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.stored:
                    return self.send(400, b"{}", X_Error_Message="a large file that was not uploaded")
                files[value["path"]] = self.hub.stored[value["oid"]]
        commit = self.hub.commit("model", name, files, private=repository.private)
        self.send_json({"success": True, "commitOid": commit, "commitUrl": f"{self.hub.url}/{name}/commit/{commit}"})
