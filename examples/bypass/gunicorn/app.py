"""A WSGI application for gunicorn, as an upstream of the bypass suite: it tells which requests it was given.

gunicorn --bind 127.0.0.1:8000 --workers 1 --threads 4 --keep-alive 75 --header-map dangerous \\
  --chdir examples/bypass/gunicorn app:app

One worker, because what arrived is kept in memory. `--header-map dangerous` folds `x_name` and `x-name` into one header,
as releases before 22 did and other WSGI servers do.
"""

import json

arrivals = []


def resource(path):
    """The handler for a path."""
    if path == "/admin" or path.startswith("/admin/"):
        return "admin"
    return "public" if path.startswith("/public/") else "other"


def app(environ, start_response):
    """Keeps what it was given, and tells of it under `/arrivals`."""
    path = environ["PATH_INFO"]
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
        "path": environ["PATH_INFO"],
        "target": environ.get("RAW_URI", ""),
        "query": environ["QUERY_STRING"],
        "host": environ.get("HTTP_HOST", ""),
        "headers": [[key.replace("_", "-").lower(), value] for key, value in headers],
    }
