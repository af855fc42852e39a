//! Everything that decides at one moment: the rules, and the applications whose tokens they ask for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::identity::ApplicationId;
use crate::policy::snapshot::Snapshot;
use crate::token::revocation::Revocations;
use crate::token::{Discovery, Profile};

use super::decision::ChallengeContext;

/// Rules and applications that belong together.
pub struct World {
    /// Counts the worlds of this process, from 1.
    pub generation: u64,
    /// The rules.
    pub snapshot: Arc<Snapshot>,
    applications: HashMap<ApplicationId, Application, foldhash::fast::RandomState>,
}

/// One application.
pub struct Application {
    /// Which tokens count.
    pub profile: Arc<Profile>,
    /// What a challenge says.
    pub challenge: Arc<ChallengeContext>,
    /// Tokens that are refused although they are good by themselves.
    pub revocations: Arc<Revocations>,
}

impl World {
    /// Puts a world together.
    #[must_use]
    pub fn new<'p>(
        generation: u64,
        snapshot: Arc<Snapshot>,
        profiles: impl IntoIterator<Item = &'p Arc<Profile>>,
    ) -> Self {
        let application = |profile: &Arc<Profile>| Application {
            profile: Arc::clone(profile),
            challenge: Arc::new(ChallengeContext {
                tenant: profile.challenge.realm,
                authorization_uri: profile.challenge.authorization_uri.clone(),
                client_id: profile.client_id.clone(),
                scope_prefix: profile.challenge.scope_prefix.clone(),
                resource_metadata: None,
            }),
            revocations: Arc::default(),
        };
        let applications = profiles.into_iter().map(|profile| (profile.id.clone(), application(profile))).collect();
        Self { generation, snapshot, applications }
    }

    /// With these revocations. Those of applications that are not there mean nothing.
    #[must_use]
    pub fn revoking(mut self, revocations: impl IntoIterator<Item = (ApplicationId, Arc<Revocations>)>) -> Self {
        for (id, revocations) in revocations {
            if let Some(application) = self.applications.get_mut(&id) {
                application.revocations = revocations;
            }
        }
        self
    }

    /// An application of the rules.
    #[must_use]
    pub fn application(&self, id: &ApplicationId) -> Option<&Application> {
        self.applications.get(id)
    }

    /// The metadata documents that the applications need, perhaps repeated.
    pub fn discoveries(&self) -> impl Iterator<Item = &Arc<Discovery>> {
        self.applications.values().flat_map(|application| application.profile.discoveries())
    }
}
