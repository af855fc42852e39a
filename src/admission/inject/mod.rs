//! What a pod gets: `entrance serve` as a native sidecar, an init container that goes on running.
//!
//! Which pods come here is the API server's business, by the selectors of the webhook configuration: those that ask for it
//! by label, and those of namespaces that do. A pod that says `entrance.dev/inject: "false"` is left alone nevertheless.
//!
//! - **A function of the pod.** The same pod always gets the same; a pod that has the sidecar keeps it as it is, whoever
//!   changed it since, but for probes: Istio leads them through an agent that starts after the sidecar.
//! - **First.** The sidecar starts before every other init container and ends after every other container, so that it
//!   answers whenever something asks. Istio moves its own containers to the front when it comes later; being asked again,
//!   we move ahead of them. Its annotations that keep our ports out of interception are extended in any case: Istio reads
//!   them when it injects, and that may be after us.
//! - **Restricted.** It runs under the strictest Pod Security profile, with a read-only root file system.

mod container;
pub mod sidecar;
mod wishes;

use serde_json::{Map, Value, json};

use super::review::{Change, Operation, Refusal, Request, Verdict};

use sidecar::Sidecar;
pub use wishes::{INJECT, INJECTED};
use wishes::{Listen, Wishes};

/// The name of the container.
pub const NAME: &str = "entrance";
/// From here on native sidecars are part of Kubernetes (KEP-753).
pub const OLDEST: Version = Version { major: 1, minor: 33 };
const TOKEN: (&str, &str) = ("entrance-token", "/var/run/secrets/entrance");
const STATE: (&str, &str) = ("entrance-state", "/var/lib/entrance");
const SOCKET: (&str, &str) = ("entrance-socket", "/run/entrance");
/// Nobody: the user that images without users of their own run as.
const USER: u32 = 65532;
const EXCLUDED_IN: &str = "traffic.sidecar.istio.io/excludeInboundPorts";
const EXCLUDED_OUT: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";

/// The API server's picture of a pod that a node made from a file: it cannot be changed, and has no tokens.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// A version of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// As the 1 of 1.33.
    pub major: u32,
    /// As the 33.
    pub minor: u32,
}

/// What an injection depends on, beside the pod.
pub struct Ground<'a> {
    /// What is injected; `None`: nothing is.
    pub sidecar: Option<&'a Sidecar>,
    /// PEM of the authority that the controller's certificate comes from.
    pub authority: Option<&'a str>,
    /// The version of the API server; `None`: not known yet.
    pub version: Option<Version>,
    /// The namespace that this runs in.
    pub namespace: &'a str,
}

type Members = Map<String, Value>;

/// Whether a request is about a new pod.
#[must_use]
pub fn concerns(request: &Request) -> bool {
    let whole = request.sub_resource.as_deref().unwrap_or_default().is_empty();
    whole && request.kind.group.is_empty() && request.kind.kind == "Pod" && request.operation == Operation::Create
}

/// What a new pod gets.
#[must_use]
pub fn inject(request: &Request, ground: &Ground<'_>) -> Verdict {
    let ours = [ground.namespace, "kube-system"].contains(&request.namespace.as_str());
    let (Some(pod), false) = (&request.object, ours) else { return Verdict::pass() };
    let spec = pod.get("spec").and_then(Value::as_object);
    let (Some(metadata), Some(_)) = (Request::metadata(Some(pod)), spec) else {
        return refuse(&["the pod has no `metadata` or no `spec`".to_owned()]);
    };
    if metadata.get("annotations").is_some_and(|annotations| annotations.get(MIRROR).is_some()) {
        return Verdict::pass();
    }
    match wishes::wanted(metadata) {
        Ok(true) => {}
        Ok(false) => return Verdict::pass(),
        Err(fault) => return refuse(&[fault]),
    }
    let Some(sidecar) = ground.sidecar else {
        let warning = "entrance.dev: nothing is injected, because the webhook was started without --sidecar";
        return Verdict::pass().warning(vec![warning.to_owned()]);
    };
    let wishes = match Wishes::read(metadata) {
        Ok(wishes) => wishes,
        Err(faults) => return refuse(&faults),
    };
    if let Some(refusal) = unfit(pod, ground, sidecar) {
        return Verdict::refuse(refusal);
    }
    let made = Made { wishes, sidecar, authority: ground.authority };
    match made.pod(pod) {
        Ok(changes) => Verdict::change(changes).warning(made.late(pod)),
        Err(faults) => refuse(&faults),
    }
}

fn refuse(faults: &[String]) -> Verdict {
    Verdict::refuse(Refusal::invalid(format!("the Entrance sidecar cannot be injected: {}", faults.join("; "))))
}

/// Why this cluster, or this kind of pod, cannot have a sidecar.
fn unfit(pod: &Members, ground: &Ground<'_>, sidecar: &Sidecar) -> Option<Refusal> {
    let cannot = |why: String| Some(Refusal::forbidden(format!("the Entrance sidecar cannot be injected: {why}")));
    let Some(version) = ground.version else {
        return Some(Refusal::unavailable("the version of Kubernetes is not known yet; try again in a moment"));
    };
    if version < OLDEST {
        return cannot(format!(
            "it is a native sidecar, which needs Kubernetes {}.{}; this is {}.{}. Label the pod `{INJECT}: \"false\"`, or \
             let a shared gateway enforce",
            OLDEST.major, OLDEST.minor, version.major, version.minor
        ));
    }
    if sidecar.is_encrypted() && ground.authority.is_none() {
        return Some(Refusal::unavailable(
            "the authority of the controller is not known yet; try again in a moment, or give `caFile` in --sidecar",
        ));
    }
    let system = pod.get("spec").and_then(|spec| spec.pointer("/os/name")).and_then(Value::as_str);
    match system {
        Some("windows") => cannot("it runs on Linux only".to_owned()),
        Some(_) | None => None,
    }
}

/// Everything that one injection is made of.
struct Made<'a> {
    wishes: Wishes,
    sidecar: &'a Sidecar,
    authority: Option<&'a str>,
}

fn list(spec: &Members, name: &str) -> Vec<Value> {
    spec.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn name(of: &Value) -> &str {
    of.get("name").and_then(Value::as_str).unwrap_or_default()
}

impl Made<'_> {
    /// What changes.
    fn pod(&self, pod: &Members) -> Result<Vec<Change>, Vec<String>> {
        let empty = Members::new();
        let spec = pod.get("spec").and_then(Value::as_object).unwrap_or(&empty);
        let metadata = pod.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
        let before = metadata.get("annotations").and_then(Value::as_object).cloned().unwrap_or_default();
        let (init, containers, volumes) =
            (list(spec, "initContainers"), list(spec, "containers"), list(spec, "volumes"));
        let there = before.contains_key(INJECTED) && init.iter().any(|container| name(container) == NAME);
        if !there {
            self.fits((&init, &containers, &volumes), spec)?;
        }
        let mut own = if there { init.clone() } else { with(init.clone(), 0, self.container()) };
        own.iter_mut().for_each(|container| self.reclaim(container));
        let after = (
            first(own),
            containers.clone(),
            if there { volumes.clone() } else { volumes.iter().cloned().chain(self.volumes()).collect() },
        );
        let (init_after, containers_after) = self.sharing(after.0, after.1)?;
        let lists = [
            ("initContainers", init, init_after),
            ("containers", containers, containers_after),
            ("volumes", volumes, after.2),
        ];
        let changed = lists.into_iter().filter(|(_, before, after)| before != after);
        let mut changes: Vec<Change> =
            changed.map(|(name, _, after)| Change::add(format!("/spec/{name}"), Value::Array(after))).collect();
        changes.extend(self.group(spec));
        changes.extend(account(spec));
        let annotations = self.annotations(before.clone());
        if annotations != before {
            changes.push(Change::add("/metadata/annotations", Value::Object(annotations)));
        }
        Ok(changes)
    }

    /// Nothing of the pod is in the way.
    fn fits(
        &self,
        (init, containers, volumes): (&[Value], &[Value], &[Value]),
        spec: &Members,
    ) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        if init.iter().chain(containers).any(|container| name(container) == NAME) {
            faults.push(format!("a container is called `{NAME}` already; give it another name"));
        }
        let ours: Vec<&str> = [TOKEN.0, STATE.0, SOCKET.0].to_vec();
        for volume in volumes.iter().filter(|volume| ours.contains(&name(volume))) {
            faults.push(format!("a volume is called `{}` already; give it another name", name(volume)));
        }
        let ports = self.wishes.ports();
        let taken = init.iter().chain(containers).flat_map(|container| {
            let declared = container.get("ports").and_then(Value::as_array).into_iter().flatten();
            let of = name(container);
            declared.filter_map(move |port| {
                let number = port.get("containerPort").and_then(Value::as_u64)?;
                let tcp = port.get("protocol").and_then(Value::as_str).is_none_or(|protocol| protocol == "TCP");
                u16::try_from(number).ok().filter(|_| tcp).map(|port| (of, port))
            })
        });
        for (of, port) in taken.filter(|(_, port)| ports.contains(port)) {
            faults.push(format!(
                "the container `{of}` takes port {port}, as the sidecar would; choose others for that by the annotations \
                 entrance.dev/port and entrance.dev/admin-port"
            ));
        }
        if spec.get("hostNetwork").and_then(Value::as_bool) == Some(true) && !self.wishes.chosen {
            faults.push(
                "the pod is on the network of its node, where ports are everybody's; choose free ones by the annotations \
                 entrance.dev/port (or entrance.dev/listen: unix) and entrance.dev/admin-port"
                    .to_owned(),
            );
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// The socket is open to its group alone, so everybody in the pod becomes a member. `fsGroup` would do, too, but would
    /// hand over volumes of the pod as well.
    fn group(&self, spec: &Members) -> Option<Change> {
        let context = spec.get("securityContext").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut groups = list(&context, "supplementalGroups");
        if self.wishes.listen != Listen::Unix || groups.contains(&json!(USER)) {
            return None;
        }
        groups.push(json!(USER));
        let mut after = context;
        after.insert("supplementalGroups".to_owned(), Value::Array(groups));
        Some(Change::add("/spec/securityContext", Value::Object(after)))
    }

    /// Everybody in the pod may ask at the socket.
    fn sharing(
        &self,
        mut init: Vec<Value>,
        mut containers: Vec<Value>,
    ) -> Result<(Vec<Value>, Vec<Value>), Vec<String>> {
        if self.wishes.listen != Listen::Unix {
            return Ok((init, containers));
        }
        let lasting = |container: &&mut Value| {
            name(container) != NAME && container.get("restartPolicy").and_then(Value::as_str) == Some("Always")
        };
        let mut faults = Vec::new();
        for container in init.iter_mut().filter(lasting).chain(containers.iter_mut()) {
            faults.extend(share(container).err());
        }
        if faults.is_empty() { Ok((init, containers)) } else { Err(faults) }
    }

    /// A warning if Istio came first: it wrote down already which ports it leaves alone, and ours are not among them.
    fn late(&self, pod: &Members) -> Vec<String> {
        let containers = pod.get("spec").and_then(|spec| spec.get("initContainers")).and_then(Value::as_array);
        let istio = containers.into_iter().flatten().find(|container| name(container) == "istio-init");
        let args = istio.and_then(|istio| istio.get("args")).and_then(Value::as_array);
        let words: Vec<&str> = args.into_iter().flatten().filter_map(Value::as_str).collect();
        let excluded = words.iter().skip_while(|word| **word != "-d").nth(1);
        let port = self.wishes.admin_port;
        let is_left_alone = |list: &&str| list.split(',').any(|one| one == port.to_string());
        if excluded.is_none_or(is_left_alone) {
            return Vec::new();
        }
        vec![format!(
            "entrance.dev: Istio injected first and intercepts port {port}; call the release so that it sorts before Istio"
        )]
    }

    fn annotations(&self, mut annotations: Members) -> Members {
        annotations.entry(INJECTED).or_insert_with(|| json!(env!("CARGO_PKG_VERSION")));
        let outbound = self.sidecar.port();
        extend(&mut annotations, EXCLUDED_IN, &self.wishes.ports());
        extend(&mut annotations, EXCLUDED_OUT, outbound.as_slice());
        annotations
    }
}

/// A token is somebody's: whoever names no service account has the default one, as the API server would say itself.
fn account(spec: &Members) -> Option<Change> {
    let named = spec.get("serviceAccountName").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    (!named).then(|| Change::add("/spec/serviceAccountName", json!("default")))
}

fn with(mut list: Vec<Value>, at: usize, value: Value) -> Vec<Value> {
    list.insert(at.min(list.len()), value);
    list
}

/// The sidecar before the containers of Istio; others may have their reasons to be ahead of it.
fn first(mut init: Vec<Value>) -> Vec<Value> {
    let own = init.iter().position(|container| name(container) == NAME);
    let istio = init.iter().position(|container| name(container).starts_with("istio-"));
    if let (Some(own), Some(istio)) = (own, istio)
        && istio < own
    {
        let sidecar = init.remove(own);
        init.insert(istio, sidecar);
    }
    init
}

/// Mounts the socket's directory, unless it is mounted.
fn share(container: &mut Value) -> Result<(), String> {
    let of = name(container).to_owned();
    let Some(members) = container.as_object_mut() else { return Ok(()) };
    let mounts = members.entry("volumeMounts").or_insert_with(|| json!([]));
    let Some(mounts) = mounts.as_array_mut() else { return Ok(()) };
    let at = mounts.iter().find(|mount| mount.get("mountPath").and_then(Value::as_str) == Some(SOCKET.1));
    match at {
        Some(mount) if name(mount) == SOCKET.0 => Ok(()),
        Some(_) => Err(format!("the container `{of}` mounts another volume at `{}`; mount that elsewhere", SOCKET.1)),
        None => {
            mounts.push(json!({"name": SOCKET.0, "mountPath": SOCKET.1}));
            Ok(())
        }
    }
}

/// Adds ports to a list of Istio's, and keeps what is there.
fn extend(annotations: &mut Members, key: &str, ports: &[u16]) {
    let known = annotations.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut all: Vec<String> =
        known.split(',').map(str::trim).filter(|port| !port.is_empty()).map(str::to_owned).collect();
    for port in ports.iter().map(u16::to_string) {
        if !all.contains(&port) {
            all.push(port);
        }
    }
    annotations.insert(key.to_owned(), json!(all.join(",")));
}
