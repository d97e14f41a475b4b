//! Why a release does not move: the same words on the command line, the page and the API.

use base::name::ReleaseId;
use serde::{Deserialize, Serialize};

use crate::environment;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    Run {
        workflow: String,
        waiting: workflow::run::Waiting,
    },
    /// Jobs of a run wait for somebody to review their environments.
    Review {
        release: u64,
        workflow: String,
        reviews: Vec<workflow::run::ReviewWanted>,
    },
    Packaging,
    Evidence,
    /// Another release has the environment.
    Environment {
        name: String,
        occupied_by: ReleaseId,
    },
    /// Somebody has to agree first.
    Approval {
        release: u64,
        missing: Vec<gate::approval::Missing>,
    },
    /// Nobody ships now.
    Closed {
        name: String,
        why: String,
        opens: Option<base::Timestamp>,
    },
    /// What the release depends on besides itself is being asked.
    Circumstances {
        what: String,
    },
    /// Nobody knows how what users are promised is kept.
    ObjectivesUnknown {
        why: String,
    },
    /// Nobody knows which incidents are open.
    IncidentsUnknown {
        why: String,
    },
    /// Nobody knows how the branch is protected.
    ProtectionUnknown {
        why: String,
    },
    /// What its instances run in is not where they run.
    Image {
        why: String,
    },
    /// An override would let it go on, and needs another person.
    Unconfirmed {
        by: String,
        else_waits: String,
    },
    Rollout {
        waiting: rollout::Waiting,
    },
}

impl Waiting {
    /// Of a release to an environment, with the commands that are meant for it.
    pub fn sentence(&self, environment: &str) -> String {
        let at = environment::flag(environment);
        let emergency = format!("in an emergency `plimsoll gate override --reason WHY{at}` goes past it");
        let unknown = format!("it is asked again until somebody does, and {emergency}");
        match self {
            Waiting::Run { workflow, waiting: waiting @ workflow::run::Waiting::Closed { .. } } => {
                format!("{workflow}: {}; {emergency}", waiting.sentence())
            }
            Waiting::Run { workflow, waiting } => format!("{workflow}: {}", waiting.sentence()),
            Waiting::Review { release, workflow, reviews } => {
                let sentence = workflow::run::Waiting::Review { reviews: reviews.clone() }.sentence();
                let which = if reviews.len() > 1 { " --environment NAME" } else { "" };
                let jobs = if reviews.iter().map(|wanted| wanted.jobs.len()).sum::<usize>() == 1 { "the job" } else { "the jobs" };
                let reject = format!("`plimsoll reject release-{release}{which} --comment WHY` fails {jobs}");
                if reviews.iter().all(|wanted| wanted.who.is_none()) {
                    return format!("{workflow}: {sentence}; {reject}");
                }
                format!("{workflow}: {sentence}; `plimsoll approve release-{release}{which}` gives it, {reject}")
            }
            Waiting::Packaging => "the artifact is being packed".to_string(),
            Waiting::Evidence => "evidence is being read from what the runs left".to_string(),
            Waiting::Environment { name, occupied_by } => {
                format!("environment `{name}` is taken by release {occupied_by}; it goes on when that one ends or is aborted")
            }
            Waiting::Approval { release, missing } => {
                let missing = gate::approval::Standing::Open { missing: missing.clone() }.sentence();
                format!(
                    "needs {missing}; `plimsoll approve release-{release}` gives it, `plimsoll reject release-{release} --comment WHY` ends the release"
                )
            }
            Waiting::Closed { name, why, .. } => {
                format!("environment `{name}` is {why}; {emergency}")
            }
            Waiting::Circumstances { what } => format!("it is being found out {what}"),
            Waiting::ObjectivesUnknown { why } => format!("nobody knows what is left of the error budget of {why}; {unknown}"),
            Waiting::IncidentsUnknown { why } => format!("nobody knows which incidents are open: {why}; {unknown}"),
            Waiting::ProtectionUnknown { why } => format!("nobody knows how the branch is protected: {why}; {unknown}"),
            Waiting::Image { why } => format!("nothing moves before its image is here: {why}"),
            Waiting::Unconfirmed { by, else_waits } => {
                format!(
                    "the override {by} asked for needs a second person: `plimsoll gate override --confirm{at}`; without it: {else_waits}"
                )
            }
            Waiting::Rollout { waiting } => waiting.sentence(),
        }
    }
}
