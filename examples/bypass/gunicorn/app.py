"""A WSGI application for gunicorn, as an upstream of the bypass suite: it tells which requests it was given.

gunicorn --bind 127.0.0.1:8000 --workers 1 --threads 4 --keep-alive 75 --header-map dangerous \\
  --chdir examples/bypass/gunicorn app:app

With `--env BELIEVES=1` it serves the path that a client asks for in `X-Original-URL` or `X-Rewrite-URL`, as IIS does, and takes
`X-Script-Name` off the path, as many applications do. With `SCRIPT_NAME` gunicorn does that by itself, and asks nobody.

One worker, because what arrived is kept in memory. `--header-map dangerous` folds `x_name` and `x-name` into one header,
as releases before 22 did and other WSGI servers do.
"""

import json
import os
from urllib.parse import unquote, urlsplit

BELIEVED = ["HTTP_X_ORIGINAL_URL", "HTTP_X_REWRITE_URL"] if os.environ.get("BELIEVES") else []

arrivals = []


def resource(path):
    """The handler for a path."""
    if path == "/admin" or path.startswith("/admin/"):
        return "admin"
    return "public" if path.startswith("/public/") else "other"


def served(environ):
    """The path that is served: that of the request, unless another one is believed."""
    for name in BELIEVED:
        if environ.get(name):
            return unquote(urlsplit(environ[name]).path)
    root = environ.get("HTTP_X_SCRIPT_NAME", "") if BELIEVED else ""
    return environ["PATH_INFO"].removeprefix(root)


def app(environ, start_response):
    """Keeps what it was given, and tells of it under `/arrivals`."""
    path = served(environ)
    if path == "/arrivals":
        body = "".join(arrivals).encode()
    else:
        name = resource(path)
        arrivals.append(json.dumps(arrival(name, environ)) + "\n")
        body = f"{name}\n".encode()
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(body)))])
    return [body]


def arrival(name, environ):
    """One line of the report."""
    headers = [(key[5:], value) for key, value in environ.items() if key.startswith("HTTP_")]
    return {
        "resource": name,
        "method": environ["REQUEST_METHOD"],
        "path": served(environ),
        "target": environ.get("RAW_URI", ""),
        "query": environ["QUERY_STRING"],
        "host": environ.get("HTTP_HOST", ""),
        "headers": [[key.replace("_", "-").lower(), value] for key, value in headers],
    }
