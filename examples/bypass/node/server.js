// Node's http server as an upstream of the bypass suite: it tells which requests its routes were given.
// `node examples/bypass/node/server.js 8000`
//
// Paths are read as many programs do: by the URL parser that browsers have, which resolves dot segments, takes `\` for
// `/` and `//name` for a host, and drops tabs; then escapes are decoded.
'use strict';

const http = require('node:http');

const arrivals = [];

function resource(path) {
  if (path === '/admin' || path.startsWith('/admin/')) return 'admin';
  return path.startsWith('/public/') ? 'public' : 'other';
}

function arrive(request, url, path) {
  const raw = request.rawHeaders;
  const headers = [];
  for (let at = 0; at < raw.length; at += 2) headers.push([raw[at], raw[at + 1]]);
  const name = resource(path);
  const seen = { method: request.method, path, target: request.url, query: url.search, host: request.headers.host };
  arrivals.push(JSON.stringify({ resource: name, ...seen, headers }) + '\n');
  return name + '\n';
}

function answer(request) {
  if (request.url === '/arrivals') return [200, arrivals.join('')];
  try {
    const url = new URL(request.url, 'http://upstream');
    return [200, arrive(request, url, decodeURIComponent(url.pathname))];
  } catch {
    return [400, 'not a path\n'];
  }
}

const server = http.createServer((request, response) => {
  const [status, body] = answer(request);
  response.writeHead(status, { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(body) });
  response.end(body);
});
// Proxies keep connections: one that ends just when it is used again would look like a refusal.
server.keepAliveTimeout = 75_000;
server.listen(Number(process.argv[2]), '127.0.0.1');
