"""Gets app-only tokens from an authority with Microsoft's own client library (MSAL for Python).

usage: msal_check.py AUTHORITY CLIENT_ID SECRET SCOPE CA_PEM KEY_PEM CERTIFICATE_PEM

Prints one JSON object: how each way of proving who the client is ended. The library checks the authority's metadata
by itself; instance discovery is off, since the authority is not one of Microsoft's.
"""

import json
import sys

import msal
import requests


def main() -> int:
    authority, client_id, secret, scope, ca, key, certificate = sys.argv[1:]
    # The authority is on this machine: no proxy of the environment may come between.
    session = requests.Session()
    session.trust_env = False
    session.verify = ca
    with open(key) as file:
        private_key = file.read()
    with open(certificate) as file:
        public_certificate = file.read()
    credentials = {
        "secret": secret,
        "certificate": {"private_key": private_key, "public_certificate": public_certificate},
        "wrong": secret + "x",
    }
    outcomes = {}
    for name, credential in credentials.items():
        application = msal.ConfidentialClientApplication(
            client_id,
            client_credential=credential,
            authority=authority,
            instance_discovery=False,
            http_client=session,
        )
        outcomes[name] = application.acquire_token_for_client(scopes=[scope])
    json.dump(outcomes, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
