//! The container, and the volumes that it needs.

use serde_json::{Value, json};

use super::sidecar::{Resources, Sidecar};
use super::wishes::Listen;
use super::{Made, NAME, SOCKET, STATE, TOKEN, USER};

impl Made<'_> {
    pub(super) fn container(&self) -> Value {
        let Sidecar { image, image_pull_policy, controller, audit, args, env, .. } = self.sidecar;
        let listen = match self.wishes.listen {
            Listen::Tcp(port) => format!("127.0.0.1:{port}"),
            Listen::Unix => format!("unix:{}/authz.sock", SOCKET.1),
        };
        let admin = format!("0.0.0.0:{}", self.wishes.admin_port);
        let token = format!("{}/token", TOKEN.1);
        let flags = [
            ("--controller", controller.as_str()),
            ("--controller-token", &token),
            ("--state", STATE.1),
            ("--listen", &listen),
            ("--admin", &admin),
        ];
        let audit = audit.iter().flat_map(|sink| ["--audit", sink.as_str()]);
        let flags = flags.iter().flat_map(|(flag, value)| [*flag, *value]).chain(audit);
        let flags: Vec<&str> = ["serve"].into_iter().chain(flags).chain(args.iter().map(String::as_str)).collect();
        let authority = self.authority.filter(|_| self.sidecar.is_encrypted());
        let authority = authority.map(|pem| json!({"name": "ENTRANCE_CONTROLLER_CA_PEM", "value": pem}));
        let extra = self.sidecar.extra_ca.as_ref().map(|pem| json!({"name": "ENTRANCE_EXTRA_CA_PEM", "value": pem}));
        let authorities = authority.into_iter().chain(extra);
        let env: Vec<Value> = authorities.chain(env.iter().cloned().map(Value::Object)).collect();
        let [startup, readiness] = self.probes().map(|(_, probe)| probe);
        let mut container = json!({
            "name": NAME,
            "image": image,
            "restartPolicy": "Always",
            "args": flags,
            "env": env,
            "ports": [{"name": "entrance-admin", "containerPort": self.wishes.admin_port, "protocol": "TCP"}],
            "resources": self.resources(),
            "volumeMounts": self.mounts(),
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
                "runAsGroup": USER,
                "runAsNonRoot": true,
                "runAsUser": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "startupProbe": startup,
            "readinessProbe": readiness,
            "terminationMessagePolicy": "FallbackToLogsOnError",
        });
        if let (Some(members), Some(policy)) = (container.as_object_mut(), image_pull_policy) {
            members.insert("imagePullPolicy".to_owned(), json!(policy));
        }
        container
    }

    /// The others wait until it answers, not until it has policies: those come from the network.
    fn probes(&self) -> [(&'static str, Value); 2] {
        let get = |path: &str| json!({"path": path, "port": self.wishes.admin_port, "scheme": "HTTP"});
        [
            ("startupProbe", json!({"httpGet": get("/livez"), "periodSeconds": 1, "failureThreshold": 60})),
            ("readinessProbe", json!({"httpGet": get("/readyz"), "periodSeconds": 5, "failureThreshold": 2})),
        ]
    }

    /// Takes probes back that Istio has led through its own agent. That one starts after us, and waits for us to start; and
    /// our admin port is none of its business.
    pub(super) fn reclaim(&self, container: &mut Value) {
        let Some(members) = container.as_object_mut().filter(|members| members.get("name") == Some(&json!(NAME)))
        else {
            return;
        };
        for (name, probe) in self.probes() {
            let path = members.get(name).and_then(|probe| probe.pointer("/httpGet/path")).and_then(Value::as_str);
            if path.is_some_and(|path| path.starts_with("/app-health/")) {
                members.insert(name.to_owned(), probe);
            }
        }
    }

    fn resources(&self) -> Value {
        let Resources { mut requests, mut limits } = self.sidecar.resources.clone();
        for (list, of, quantity) in &self.wishes.resources {
            let into = if *list == "requests" { &mut requests } else { &mut limits };
            into.insert((*of).to_owned(), json!(quantity));
        }
        json!({"requests": requests, "limits": limits})
    }

    fn mounts(&self) -> Vec<Value> {
        let mut mounts = vec![
            json!({"name": TOKEN.0, "mountPath": TOKEN.1, "readOnly": true}),
            json!({"name": STATE.0, "mountPath": STATE.1}),
        ];
        if self.wishes.listen == Listen::Unix {
            mounts.push(json!({"name": SOCKET.0, "mountPath": SOCKET.1}));
        }
        mounts
    }

    pub(super) fn volumes(&self) -> Vec<Value> {
        // Kubernetes renews it when a fifth of its life is left, and the sidecar reads it for each connection.
        let token =
            json!({"serviceAccountToken": {"audience": "entrance", "expirationSeconds": 3600, "path": "token"}});
        let mut volumes = vec![
            json!({"name": TOKEN.0, "projected": {"sources": [token]}}),
            json!({"name": STATE.0, "emptyDir": {"sizeLimit": "512Mi"}}),
        ];
        if self.wishes.listen == Listen::Unix {
            volumes.push(json!({"name": SOCKET.0, "emptyDir": {"medium": "Memory"}}));
        }
        volumes
    }
}
