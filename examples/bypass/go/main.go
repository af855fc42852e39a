// Go's net/http as an upstream of the bypass suite: it tells which requests its ServeMux gave to which handler.
// `go run examples/bypass/go/main.go 127.0.0.1:8000`
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"sync"
)

type arrival struct {
	Resource string      `json:"resource"`
	Method   string      `json:"method"`
	Path     string      `json:"path"`
	Target   string      `json:"target"`
	Query    string      `json:"query"`
	Host     string      `json:"host"`
	Headers  http.Header `json:"headers"`
}

var (
	mutex    sync.Mutex
	arrivals bytes.Buffer
)

func handler(resource string) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		line, err := json.Marshal(arrival{
			resource, request.Method, request.URL.Path, request.RequestURI, request.URL.RawQuery, request.Host, request.Header,
		})
		if err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
		mutex.Lock()
		arrivals.Write(append(line, '\n'))
		mutex.Unlock()
		response.Write([]byte(resource + "\n"))
	}
}

func report(response http.ResponseWriter, _ *http.Request) {
	mutex.Lock()
	defer mutex.Unlock()
	response.Write(arrivals.Bytes())
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/arrivals", report)
	mux.Handle("/admin", handler("admin"))
	mux.Handle("/admin/", handler("admin"))
	mux.Handle("/public/", handler("public"))
	mux.Handle("/", handler("other"))
	log.Fatal(http.ListenAndServe(os.Args[1], mux))
}
