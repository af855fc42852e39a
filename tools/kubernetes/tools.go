//go:build tools

// Package tools names the programs that the tests need, so that the module graph is complete and go.sum stays honest.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
