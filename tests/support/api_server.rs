//! A real API server with its etcd, on loopback ports of their own; one per test binary, a namespace per test.
//!
//! The binaries come from `KUBEBUILDER_ASSETS`, else from `.tools/bin` (`make tools`). Both servers are children of a
//! small shell that reads its standard input: when this process is gone, in whatever way, that ends, and the shell stops
//! the API server, then etcd, by process id, and removes their files.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use entrance::api::schema::definitions;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Client, Config, ResourceExt as _};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::free_port::port;

/// The token of a member of `system:masters`.
pub(crate) const ADMIN: &str = "admin-token";
/// The token of the user `ada`, to whom nothing is bound.
pub(crate) const ADA: &str = "ada-token";
/// The token of the user `bob`, to whom nothing is bound.
pub(crate) const BOB: &str = "bob-token";

const USERS: &str = "admin-token,admin,1,system:masters\nada-token,ada,2\nbob-token,bob,3\n";
/// It is ready in about 3 s on an idle machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// Keeps both servers until its standard input ends. `$0` is the directory, `$1` etcd, `$2` the API server.
const KEEPER: &str = r#"
cd "$0" || exit 1
trap "" INT HUP
server=$2
"$1" @ETCD@ >etcd.log 2>&1 &
etcd=$!
api() {
  "$server" @SERVER@ >>api.log 2>&1 &
  api=$!
}
api
while read -r word; do
  case $word in
  stop) kill -KILL $api; wait $api; echo stopped ;;
  start) api; echo started ;;
  esac
done
kill -KILL $api; wait $api
kill -KILL $etcd; wait $etcd
cd / && rm -rf "$0"
"#;

const ETCD: &str = "--name=test --data-dir=etcd --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=http://127.0.0.1:@CLIENT@ --advertise-client-urls=http://127.0.0.1:@CLIENT@ \
    --listen-peer-urls=http://127.0.0.1:@PEER@ --initial-advertise-peer-urls=http://127.0.0.1:@PEER@ \
    --initial-cluster=test=http://127.0.0.1:@PEER@";

// No controllers run: a pod must not wait for its default service account.
const API: &str = "--etcd-servers=http://127.0.0.1:@CLIENT@ --bind-address=127.0.0.1 --secure-port=@API@ \
    --tls-cert-file=server.pem --tls-private-key-file=server.key --token-auth-file=users.csv \
    --authorization-mode=RBAC --service-cluster-ip-range=10.0.0.0/24 --endpoint-reconciler-type=none \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=accounts.pub \
    --service-account-signing-key-file=accounts.key --disable-admission-plugins=ServiceAccount --v=1";

/// A running API server.
pub(crate) struct ApiServer {
    directory: PathBuf,
    /// Where it answers.
    pub(crate) url: String,
    /// Where its etcd does.
    pub(crate) etcd: String,
    keeper: Mutex<Keeper>,
    namespaces: AtomicU32,
}

/// The shell that keeps both processes.
struct Keeper {
    shell: Child,
    answers: BufReader<ChildStdout>,
}

static SHARED: OnceCell<ApiServer> = OnceCell::const_new();

impl ApiServer {
    /// The server of this test binary, with our definitions installed; started by whoever asks first.
    pub(crate) async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    /// A server of the test's own, for those that stop it.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap().keep();
        let [client, peer, api] = [(); 3].map(|()| port().port().to_string());
        std::fs::write(directory.join("users.csv"), USERS).unwrap();
        certificates(&directory);
        let [url, etcd] = [format!("https://127.0.0.1:{api}"), format!("http://127.0.0.1:{client}")];
        let ports = [("@CLIENT@", client), ("@PEER@", peer), ("@API@", api)];
        let flags = |text: &str| ports.iter().fold(text.to_owned(), |text, (name, port)| text.replace(name, port));
        let script = flags(&KEEPER.replace("@ETCD@", ETCD).replace("@SERVER@", API));
        let keeper = Mutex::new(Keeper::start(&script, &directory));
        let server = Self { directory, url, etcd, keeper, namespaces: AtomicU32::new(0) };
        server.ready().await;
        server.install().await;
        server
    }

    /// Waits until the server answers that it is ready.
    pub(crate) async fn ready(&self) {
        let client = self.client(ADMIN).await;
        let ask = || client.request_text(http::Request::get("/readyz").body(Vec::new()).unwrap());
        let wait = async {
            while ask().await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let log = || std::fs::read_to_string(self.directory.join("api.log")).unwrap_or_default();
        timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("the API server is not ready:\n{}", log()));
    }

    async fn install(&self) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client(ADMIN).await);
        for definition in definitions() {
            let name = definition.name_any();
            let applied = api.patch(&name, &PatchParams::apply("test"), &Patch::Apply(&definition)).await;
            applied.unwrap_or_else(|error| panic!("{name}: {error}"));
            let established = await_condition(api.clone(), &name, conditions::is_crd_established());
            let established = timeout(DEADLINE, established).await;
            established.unwrap_or_else(|_| panic!("{name} is not established")).unwrap();
        }
    }

    /// Kills the API server; etcd stays.
    pub(crate) fn stop_api(&self) {
        self.keeper().tell("stop", "stopped");
    }

    /// Starts the API server again; [`ApiServer::ready`] tells when it answers.
    pub(crate) fn start_api(&self) {
        self.keeper().tell("start", "started");
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kubeconfig that presents this token.
    pub(crate) fn kubeconfig(&self, token: &str) -> PathBuf {
        self.kubeconfig_by(&self.url, token)
    }

    /// The same by way of another address.
    pub(crate) fn kubeconfig_by(&self, url: &str, token: &str) -> PathBuf {
        let ca = self.directory.join("ca.pem");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": ca}}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
            "current-context": "test",
        });
        let name: String = token.chars().rev().take(32).filter(char::is_ascii_alphanumeric).collect();
        let file = self.directory.join(format!("kubeconfig-{name}"));
        // Others may be reading the one that is there.
        let fresh = tempfile::NamedTempFile::new_in(&self.directory).unwrap();
        std::fs::write(&fresh, config.to_string()).unwrap();
        fresh.persist(&file).unwrap();
        file
    }

    /// A client that presents this token. It lives as long as the runtime that asks.
    pub(crate) async fn client(&self, token: &str) -> Client {
        let read = Kubeconfig::read_from(self.kubeconfig(token)).unwrap();
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        entrance::token::install_crypto().unwrap();
        Client::try_from(config).unwrap()
    }

    /// A namespace of the test's own.
    pub(crate) async fn namespace(&self, prefix: &str) -> String {
        let name = format!("{prefix}-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        let api: Api<Namespace> = Api::all(self.client(ADMIN).await);
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        api.create(&PostParams::default(), &namespace).await.unwrap();
        name
    }

    /// A token of a service account for these audiences; without any, for the API server.
    pub(crate) async fn account_token(&self, namespace: &str, account: &str, audiences: &[&str]) -> String {
        self.token((namespace, account), None, audiences).await
    }

    /// The same, bound to a pod as a projected volume has it.
    pub(crate) async fn pod_token(&self, namespace: &str, bound: (&str, &Pod), audiences: &[&str]) -> String {
        let (account, pod) = bound;
        let reference = BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name_any()),
            uid: pod.uid(),
        };
        self.token((namespace, account), Some(reference), audiences).await
    }

    async fn token(&self, of: (&str, &str), to: Option<BoundObjectReference>, audiences: &[&str]) -> String {
        let api: Api<ServiceAccount> = Api::namespaced(self.client(ADMIN).await, of.0);
        let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect::<Vec<_>>();
        let audiences = (!audiences.is_empty()).then_some(audiences);
        let spec = TokenRequestSpec { audiences, bound_object_ref: to, ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer = api.create_token_request(of.1, &PostParams::default(), &request).await.unwrap();
        answer.status.unwrap().token.unwrap()
    }
}

impl Keeper {
    fn start(script: &str, directory: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(directory).arg(binary("etcd")).arg(binary("kube-apiserver"));
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        Self { shell, answers }
    }

    fn tell(&mut self, word: &str, wanted: &str) {
        writeln!(self.shell.stdin.as_mut().unwrap(), "{word}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim_end(), wanted);
    }
}

/// A program that `make tools` installs.
pub(crate) fn binary(name: &str) -> PathBuf {
    let given = std::env::var_os("KUBEBUILDER_ASSETS").map(|assets| Path::new(&assets).join(name));
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin").join(name);
    let found = given.into_iter().chain([own]).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("there is no `{name}`: run `make tools`, or set KUBEBUILDER_ASSETS"))
}

/// What the server identifies itself with, and the keys for tokens of service accounts.
fn certificates(directory: &Path) {
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "test authority");
    let key = KeyPair::generate().unwrap();
    write("ca.pem", authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    write("server.pem", server.signed_by(&key, &issuer).unwrap().pem());
    write("server.key", key.serialize_pem());
    let accounts = KeyPair::generate().unwrap();
    write("accounts.key", accounts.serialize_pem());
    write("accounts.pub", accounts.public_key_pem());
}
