"""FastAPI on uvicorn, as an upstream of the bypass suite: it tells which requests its handlers were given.

uvicorn --host 127.0.0.1 --port 8000 --timeout-keep-alive 75 --app-dir examples/bypass/fastapi app:app

Proxies keep connections: one that ends just when it is used again would look like a refusal.
"""

import json

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "SEARCH", "MOVE"]
RESOURCES = [
    ("/public/{rest:path}", "public"),
    ("/admin", "admin"),
    ("/admin/{rest:path}", "admin"),
    ("/{rest:path}", "other"),
]

app = FastAPI(openapi_url=None)
arrivals = []


@app.get("/arrivals")
def report():
    """What arrived, in this order."""
    return PlainTextResponse("".join(arrivals), media_type="application/jsonl")


def handler(resource):
    """A handler that keeps what it was given."""

    async def arrive(request: Request):
        scope = request.scope
        arrival = {
            "resource": resource,
            "method": request.method,
            "path": scope["path"],
            "target": scope["raw_path"].decode("latin-1"),
            "query": scope["query_string"].decode("latin-1"),
            "host": request.headers.get("host", ""),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        }
        arrivals.append(json.dumps(arrival) + "\n")
        return PlainTextResponse(resource + "\n")

    return arrive


for path, resource in RESOURCES:
    app.add_api_route(path, handler(resource), methods=METHODS)
