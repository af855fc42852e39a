//! The directory of the stand-in as its owner writes it: tenants, APIs, clients and users, in YAML or JSON.
//!
//! Parsed and checked as a whole: a directory with one fault does not start.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde::Deserialize;
use serde_json::Value;

use crate::identity::Guid;

/// Everything the stand-in knows of.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The tenants; at least one. The first is the default of a mint request.
    pub tenants: Vec<Tenant>,
    /// The APIs; at least one. The first is the default of a mint request.
    pub apis: Vec<Api>,
    /// The client applications, present in every tenant.
    #[serde(default)]
    pub clients: Vec<Client>,
    /// The users, present in every tenant.
    #[serde(default)]
    pub users: Vec<User>,
    /// Whether a client assertion (RFC 7523) may be used once only. Entra is more lenient: MSAL uses one again and
    /// again until it expires.
    #[serde(default = "yes")]
    pub refuse_replay: bool,
}

/// A tenant.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Tenant {
    /// The tenant id, a GUID in lower case.
    pub id: String,
    /// The name; `{name}` and `{name}.onmicrosoft.com` work in URLs in place of the id.
    pub name: String,
}

/// An API: what tokens are for.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Api {
    /// The client id: the audience of v2 tokens.
    pub client_id: String,
    /// The name.
    pub name: String,
    /// App ID URIs: what clients may ask for, and the audience of v1 tokens.
    #[serde(default)]
    pub identifier_uris: Vec<String>,
    /// The scopes that a delegated token carries unless the mint request says otherwise.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// `requestedAccessTokenVersion`: 1 or 2.
    #[serde(default = "two")]
    pub token_version: u8,
}

/// A client application and what it may do as itself.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Client {
    /// The client id.
    pub client_id: String,
    /// The name.
    pub name: String,
    /// Secrets, any of which opens.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// PEM certificates or public keys, any of which may sign assertions.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Roles by API.
    #[serde(default)]
    pub assignments: Vec<Assignment>,
}

/// The application roles of one client at one API.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Assignment {
    /// The API's client id.
    pub api: String,
    /// The roles.
    pub roles: Vec<String>,
}

/// A user.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct User {
    /// The object id.
    pub oid: String,
    /// The name, as mint requests use it.
    pub name: String,
    /// Roles at every API.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Group ids.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// What is wrong with a directory.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    /// Neither YAML nor JSON.
    #[error("the directory is not valid YAML or JSON: {0}")]
    Syntax(String),
    /// Some member is missing, unknown or of the wrong type.
    #[error("the directory has another shape than expected: {0}")]
    Shape(#[from] serde_json::Error),
    /// An identifier is not a GUID.
    #[error("`{0}` is not a GUID in lower case; write it as 8-4-4-4-12 hexadecimal digits")]
    NotGuid(String),
    /// A list that needs a member has none.
    #[error("`{0}` is empty; list at least one")]
    Empty(&'static str),
    /// A token version other than 1 and 2.
    #[error("`tokenVersion` is `{0}`; write 1 or 2")]
    Version(u8),
}

impl Config {
    /// Reads a directory from YAML (of which JSON is a part).
    ///
    /// # Errors
    /// [`ConfigFault`] with the first fault found.
    pub fn parse(text: &str) -> Result<Self, ConfigFault> {
        let documents = Yaml::load_from_str(text).map_err(|fault| ConfigFault::Syntax(fault.to_string()))?;
        let [document] = documents.as_slice() else {
            let found = documents.len();
            return Err(ConfigFault::Syntax(format!("found `{found}` documents, expected one")));
        };
        let config: Self = serde_json::from_value(json(document)?)?;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types cannot say.
    pub(super) fn check(&self) -> Result<(), ConfigFault> {
        if self.tenants.is_empty() {
            return Err(ConfigFault::Empty("tenants"));
        }
        if self.apis.is_empty() {
            return Err(ConfigFault::Empty("apis"));
        }
        if let Some(api) = self.apis.iter().find(|api| !matches!(api.token_version, 1 | 2)) {
            return Err(ConfigFault::Version(api.token_version));
        }
        let ids = (self.tenants.iter().map(|tenant| &tenant.id))
            .chain(self.apis.iter().map(|api| &api.client_id))
            .chain(self.clients.iter().map(|client| &client.client_id))
            .chain(self.users.iter().map(|user| &user.oid));
        for id in ids {
            if Guid::parse(id).is_none() {
                return Err(ConfigFault::NotGuid(id.clone()));
            }
        }
        Ok(())
    }
}

/// YAML as JSON; refuses what JSON has no word for.
fn json(node: &Yaml<'_>) -> Result<Value, ConfigFault> {
    if let Some(items) = node.as_sequence() {
        return items.iter().map(json).collect();
    }
    if let Some(members) = node.as_mapping() {
        let mut object = serde_json::Map::new();
        for (key, value) in members {
            let Some(key) = key.as_str() else {
                return Err(ConfigFault::Syntax("a key is not a string".into()));
            };
            object.insert(key.to_owned(), json(value)?);
        }
        return Ok(Value::Object(object));
    }
    let Yaml::Value(scalar) = node else {
        return Err(ConfigFault::Syntax("tags and aliases are not read".into()));
    };
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(flag) => Value::Bool(*flag),
        Scalar::Integer(number) => Value::from(*number),
        Scalar::FloatingPoint(number) => Value::from(number.into_inner()),
        Scalar::String(text) => Value::from(text.as_ref()),
    })
}

const fn yes() -> bool {
    true
}

const fn two() -> u8 {
    2
}
