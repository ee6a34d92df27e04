"""The endpoints of the Hub of the tests: what each request does to its repositories. See hub.py."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from hashlib import sha1, sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

from hub_repo import Answer, Entry, Refused, Repo, entry_of
from hub_rules import mistakes
from hub_store import Store

DATE = "2026-01-01T00:00:00.000Z"
LFS_SUFFIXES = (".parquet", ".zst", ".gz", ".arrow", ".bin", ".npy")
ROUTES: list[tuple[str, re.Pattern, Callable]] = []


class Call(NamedTuple):
    """A request as a route sees it; `arg` are the placeholders of its pattern."""

    method: str
    arg: dict[str, str]
    query: dict[str, str]
    headers: dict
    body: bytes
    user: str | None
    may_write: bool

    @property
    def json(self):
        return json.loads(self.body or b"{}")


def route(methods: str, pattern: str):
    """Bind a method of Hub to `pattern`, in which {id} takes a namespace and a name, {path} the rest."""
    kinds = {"id": "[^/]+/[^/]+", "path": ".+", "ref": "tag|branch"}
    regex = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{kinds.get(m[1], '[^/]+')})", pattern.replace(".", r"\."))

    def bind(function):
        ROUTES.extend((method, re.compile(regex), function) for method in methods.split())
        return function

    return bind


class Api(Store):
    """Answers requests from the state it holds.

    Users are `tester`, also a member of `org` (`token`, `read_token`), and `stranger` (`stranger_token`).
    """

    token, read_token, stranger_token = "hf_write", "hf_read", "hf_stranger"
    users = {token: ("tester", True), read_token: ("tester", False), stranger_token: ("stranger", True)}  # noqa: RUF012
    spaces = {"tester": ("tester", "org"), "stranger": ("stranger",)}  # noqa: RUF012

    endpoint: str  # http://127.0.0.1:PORT

    def __init__(self, root: Path, page: int, verify: bool):
        super().__init__(root)
        self.page, self.verify = page, verify  # entries of a tree in one answer; are uploads to be confirmed
        self.repos: dict[str, Repo] = {}
        self.received: list[str] = []

    def answer(self, method: str, target: str, headers, body: bytes) -> Answer:
        url = urlsplit(target)
        matches = ((m, f) for verb, regex, f in ROUTES if verb == method and (m := regex.fullmatch(url.path)))
        try:
            user, may_write = self._who(headers.get("Authorization"))
            match, function = next(matches, (None, None))
            if function is None:
                raise Refused(404, f"No such endpoint: {method} {url.path}")
            arg = {name: unquote(value) for name, value in match.groupdict().items()}
            query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
            return function(self, Call(method, arg, query, headers, body, user, may_write))
        except Refused as refused:
            return refused.answer

    # Who may do what

    def _who(self, authorization: str | None) -> tuple[str | None, bool]:
        if authorization is None:
            return None, False
        if (token := authorization.removeprefix("Bearer ")) not in self.users:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.users[token]

    def _member(self, call: Call, repo_id: str) -> bool:
        return repo_id.split("/")[0] in self.spaces.get(call.user, ())

    def _repo(self, call: Call, *, write: bool = False) -> Repo:
        repo = self.repos.get(call.arg["id"])
        member = self._member(call, call.arg["id"])
        if repo is None or (repo.private and not member):
            if call.user is None:
                raise Refused(401, "Invalid username or password.", "RepoNotFound")
            raise Refused(404, "Repository not found", "RepoNotFound")
        if write and not (member and call.may_write):
            raise Refused(401 if call.user is None else 403, "You don't have the rights to write to this repository")
        return repo

    # Users and repositories

    @route("GET", "/api/whoami-v2")
    def _whoami(self, call: Call) -> Answer:
        if call.user is None:
            raise Refused(401, "Invalid username or password.")
        role = "write" if call.may_write else "read"
        orgs = [{"type": "org", "name": name} for name in self.spaces[call.user][1:]]
        return Answer({"type": "user", "name": call.user, "orgs": orgs, "auth": {"accessToken": {"role": role}}})

    @route("POST DELETE", "/api/repos/{verb}")
    def _repos(self, call: Call) -> Answer:
        wish = call.json
        repo_id = f"{wish.get('organization') or call.user}/{wish['name']}"
        if not (self._member(call, repo_id) and call.may_write):
            message = f"You don't have the rights to {call.arg['verb']} a dataset under this namespace"
            raise Refused(401 if call.user is None else 403, message)
        url = f"{self.endpoint}/datasets/{repo_id}"
        if call.arg["verb"] == "delete":
            if self.repos.pop(repo_id, None) is None:
                raise Refused(404, "Repository not found", "RepoNotFound")
        elif repo_id in self.repos:
            return Answer({"error": "You already created this dataset repo", "url": url}, 409)
        else:
            private = wish.get("visibility") == "private" or wish.get("private") is True
            repo = self.repos[repo_id] = Repo(repo_id, private)
            attributes = "".join(f"*{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LFS_SUFFIXES).encode()
            repo.commit("refs/heads/main", {".gitattributes": self.keep(attributes)}, "initial commit")
        return Answer({"url": url})

    @route("GET", "/api/datasets/{id}")
    @route("GET", "/api/datasets/{id}/revision/{rev}")
    def _info(self, call: Call) -> Answer:
        repo = self._repo(call)
        oid = repo.resolve(call.arg.get("rev", "main"))
        siblings = [
            {"rfilename": path} | ({"size": entry.size, "blobId": entry.oid} if "blobs" in call.query else {})
            for path, entry in sorted(repo.commits[oid].items())
        ]
        about = {
            "_id": repo.id,
            "id": repo.id,
            "author": repo.id.split("/")[0],
            "sha": oid,
            "siblings": siblings,
        }
        times = {"lastModified": DATE, "createdAt": DATE}
        return Answer(about | times | {"private": repo.private, "gated": False, "disabled": False, "tags": []})

    @route("GET", "/api/datasets/{id}/refs")
    def _refs(self, call: Call) -> Answer:
        repo = self._repo(call)
        found = {"branches": [], "tags": [], "converts": [], "pullRequests": []}
        for ref, oid in sorted(repo.refs.items()):
            kind = {"heads": "branches", "tags": "tags", "pr": "pullRequests"}[ref.split("/")[1]]
            found[kind].append({"name": ref.split("/", 2)[2], "ref": ref, "targetCommit": oid})
        return Answer(found)

    @route("POST DELETE", "/api/datasets/{id}/{ref}/{rev}")
    def _set_ref(self, call: Call) -> Answer:
        repo, wish = self._repo(call, write=True), call.json
        tag = call.arg["ref"] == "tag"
        name = wish["tag"] if tag and call.method == "POST" else call.arg["rev"]
        ref = f"refs/{'tags' if tag else 'heads'}/{name}"
        if call.method == "DELETE":
            if repo.refs.pop(ref, None) is None:
                raise Refused(404, f"Invalid rev id: {name}", "RevisionNotFound")
        elif ref in repo.refs:
            raise Refused(409, "Reference already exists")
        else:
            repo.refs[ref] = repo.resolve(call.arg["rev"] if tag else wish.get("startingPoint", "main"))
        return Answer({})

    # Writing

    @route("POST", "/api/validate-yaml")
    def _validate(self, call: Call) -> Answer:
        if not call.json["content"].startswith("---\n"):
            return Answer({"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
        errors = [{"message": message} for message in mistakes(call.json["content"])]
        return Answer({"errors": errors, "warnings": []}, 400 if errors else 200)

    @route("POST", "/api/datasets/{id}/preupload/{rev}")
    def _preupload(self, call: Call) -> Answer:
        repo = self._repo(call, write="create_pr" not in call.query)
        now = repo.commits[repo.resolve(call.arg["rev"])]
        files = []
        for file in call.json["files"]:
            binary = b"\0" in base64.b64decode(file["sample"]) or file["size"] > 10_000_000
            lfs = binary or file["path"].endswith(LFS_SUFFIXES)
            known = now.get(file["path"])
            oid = known and (known.sha256 if known.lfs else known.oid)
            mode = "lfs" if lfs else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return Answer({"files": files})

    @route("POST", "/datasets/{id}.git/info/lfs/objects/batch")
    def _batch(self, call: Call) -> Answer:
        self._repo(call, write=True)
        objects = []
        for wanted in call.json["objects"]:
            actions = {"upload": {"href": f"{self.endpoint}/lfs/{wanted['oid']}"}}
            if self.verify:
                actions["verify"] = {"href": f"{self.endpoint}/lfs/{wanted['oid']}/verify"}
            objects.append(wanted if (self.blobs / wanted["oid"]).exists() else wanted | {"actions": actions})
        return Answer({"transfer": "basic", "objects": objects})

    @route("PUT", "/lfs/{oid}")
    def _put(self, call: Call) -> Answer:
        if sha256(call.body).hexdigest() != call.arg["oid"]:
            raise Refused(400, "The content does not have the announced sha256")
        self.keep(call.body)
        self.received.append(call.arg["oid"])
        return Answer()

    @route("POST", "/lfs/{oid}/verify")
    def _verify(self, call: Call) -> Answer:
        path = self.blobs / call.arg["oid"]
        if not path.exists() or path.stat().st_size != call.json["size"]:
            raise Refused(404, "Object not found")
        return Answer({})

    @route("POST", "/api/datasets/{id}/commit/{rev}")
    def _commit(self, call: Call) -> Answer:
        as_pull = "create_pr" in call.query
        repo = self._repo(call, write=not as_pull)
        head, *lines = [json.loads(line) for line in call.body.splitlines()]
        title, parent = head["value"]["summary"], head["value"].get("parentCommit")
        if (ref := repo.ref(call.arg["rev"])) is None or ref.startswith("refs/tags/"):
            raise Refused(404, f"Invalid rev id: {call.arg['rev']}", "RevisionNotFound")
        if parent and not repo.refs[ref].startswith(parent):
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        files, sent = dict(repo.commits[repo.refs[ref]]), []
        for line in lines:
            kind, value = line["key"], line["value"]
            path = value["path"]
            if kind == "file":
                files[path] = self.keep(base64.b64decode(value["content"]))
                sent.append(files[path].sha256)
            elif kind == "lfsFile":
                files[path] = entry_of(value["oid"], self.size(value["oid"]))
            else:
                gone = [name for name in files if name == path or name.startswith(path.rstrip("/") + "/")]
                if not gone:
                    raise Refused(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
                for name in gone:
                    del files[name]
        self.received += sent
        pull = self._new_pull(repo, call, title) if as_pull else None
        oid = repo.commit(pull["ref"] if pull else ref, files, title)
        answer = {
            "success": True,
            "commitOid": oid,
            "commitUrl": f"{self.endpoint}/datasets/{repo.id}/commit/{oid}",
        }
        return Answer(answer | ({"pullRequestUrl": pull["url"]} if pull else {}))

    # Pull requests

    def _new_pull(self, repo: Repo, call: Call, title: str) -> dict:
        num = len(repo.pulls) + 1
        pull = {"num": num, "title": title, "status": "draft", "createdAt": DATE, "isPullRequest": True}
        pull |= {"author": {"name": call.user}, "repo": {"name": repo.id, "type": "dataset"}, "events": []}
        pull |= {"ref": f"refs/pr/{num}", "url": f"{self.endpoint}/datasets/{repo.id}/discussions/{num}"}
        pull |= {"changes": {"base": "refs/heads/main"}, "filesWithConflicts": [], "diff": ""}
        repo.pulls.append(pull)
        repo.refs[pull["ref"]] = repo.refs["refs/heads/main"]
        return pull

    @route("GET POST", "/api/datasets/{id}/discussions")
    def _discussions(self, call: Call) -> Answer:
        repo = self._repo(call)
        if call.method == "POST":
            return Answer(self._new_pull(repo, call, call.json["title"]))
        return Answer({"count": len(repo.pulls), "start": 0, "discussions": repo.pulls})

    @route("GET", "/api/datasets/{id}/discussions/{num}")
    @route("POST", "/api/datasets/{id}/discussions/{num}/{verb}")
    def _discussion(self, call: Call) -> Answer:
        verb = call.arg.get("verb")
        repo = self._repo(call, write=verb == "merge")
        pull = repo.pulls[int(call.arg["num"]) - 1]
        event = {"id": "1", "type": "status-change", "createdAt": DATE, "author": {"name": call.user}}
        if verb == "merge":
            pull["status"] = "merged"
            repo.commit("refs/heads/main", repo.commits[repo.refs[pull["ref"]]], pull["title"])
        elif verb == "status":
            pull["status"] = call.json["status"]
        return Answer({"newStatus": event | {"data": {"status": pull["status"]}}} if verb else pull)

    # Reading

    def _described(self, path: str, entry: Entry | None, expand: bool) -> dict:
        """A line of `tree` and `paths-info`; a folder when there is no entry."""
        last = {"lastCommit": {"id": "0" * 40, "title": "-", "date": DATE}} if expand else {}
        if entry is None:
            return {
                "type": "directory",
                "path": path,
                "oid": sha1(path.encode()).hexdigest(),
                "size": 0,
            } | last
        lfs = {"lfs": {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}} if entry.lfs else {}
        if entry.lfs and entry.sha256 in (known := self.xet_files()):
            lfs["xetHash"] = known[entry.sha256][0]
        return {"type": "file", "path": path, "oid": entry.oid, "size": entry.size} | lfs | last

    @route("GET", "/api/datasets/{id}/tree/{rev}")
    @route("GET", "/api/datasets/{id}/tree/{rev}/{path}")
    def _tree(self, call: Call) -> Answer:
        repo = self._repo(call)
        files = repo.commits[repo.resolve(call.arg["rev"])]
        prefix = call.arg["path"].rstrip("/") + "/" if "path" in call.arg else ""
        found: dict[str, Entry | None] = {}
        for path, entry in files.items():
            if path.startswith(prefix):
                parts = path[len(prefix) :].split("/")
                found |= {prefix + "/".join(parts[:depth]): None for depth in range(1, len(parts))}
                found[path] = entry
        if prefix and not found:
            raise Refused(404, f"{prefix} does not exist on the revision", "EntryNotFound")
        if call.query.get("recursive", "false").lower() != "true":
            found = {path: entry for path, entry in found.items() if "/" not in path[len(prefix) :]}
        start = int(call.query.get("cursor", 0))
        names = sorted(found)[start : start + self.page]
        headers = {}
        if start + self.page < len(found):
            query = "&".join(f"{k}={quote(v)}" for k, v in (call.query | {"cursor": str(start + self.page)}).items())
            under = "/" + quote(prefix[:-1], safe="") if prefix else ""
            here = f"/api/datasets/{repo.id}/tree/{quote(call.arg['rev'], safe='')}{under}"
            headers["Link"] = f'<{self.endpoint}{here}?{query}>; rel="next"'
        expand = call.query.get("expand", "").lower() == "true"
        return Answer([self._described(name, found[name], expand) for name in names], headers=headers)

    @route("POST", "/api/datasets/{id}/paths-info/{rev}")
    def _paths_info(self, call: Call) -> Answer:
        repo = self._repo(call)
        files = repo.commits[repo.resolve(call.arg["rev"])]
        form = parse_qs(call.body.decode())
        expand = form.get("expand", [""])[0].lower() == "true"
        paths = [path.strip("/") for path in form["paths"]]
        present = [p for p in paths if p in files or any(name.startswith(p + "/") for name in files)]
        return Answer([self._described(path, files.get(path), expand) for path in present])

    @route("HEAD GET", "/datasets/{id}/resolve/{rev}/{path}")
    def _resolve(self, call: Call) -> Answer:
        repo = self._repo(call)
        oid = repo.resolve(call.arg["rev"])
        if (entry := repo.commits[oid].get(call.arg["path"])) is None:
            raise Refused(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": oid, "ETag": f'"{entry.oid}"', "Accept-Ranges": "bytes"}
        if entry.lfs:
            headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
            if entry.sha256 in (known := self.xet_files()):
                url = f"{self.endpoint}/api/datasets/{repo.id}/xet-read-token/{oid}"
                headers |= {"X-Xet-Hash": known[entry.sha256][0], "Link": f'<{url}>; rel="xet-auth"'}
        content = self.content(entry.sha256)
        if wanted := re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("Range") or ""):
            low, high = wanted.groups()
            start = int(low) if low else max(0, entry.size - int(high))
            end = min(int(high), entry.size - 1) if low and high else entry.size - 1
            if start >= entry.size:
                return Answer(status=416, headers={"Content-Range": f"bytes */{entry.size}"})
            headers["Content-Range"] = f"bytes {start}-{end}/{entry.size}"
            return Answer(content[start : end + 1], 206, headers)
        return Answer(content, 200, headers)

    # Xet

    @route("GET", "/api/datasets/{id}/xet-{right}-token/{rev}")
    def _xet_token(self, call: Call) -> Answer:
        self._repo(call, write=call.arg["right"] == "write" and call.arg["rev"] != "None")
        store, end = f"local://{self.cas}", int(time.time()) + 3600
        headers = {"X-Xet-Cas-Url": store, "X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": str(end)}
        return Answer({"casUrl": store, "accessToken": "xet", "exp": end}, headers=headers)
