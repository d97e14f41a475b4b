//! Policies that were read before: the same texts are the same rules, and a gate is asked again and again about one release.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::Source;

use super::{Policies, PolicyDiagnostic};
use crate::GatePlan;
use crate::plan::PolicyFile;

type Compiled = Arc<Result<Policies, Vec<PolicyDiagnostic>>>;

/// The one asked last is at the end.
struct Cache(Vec<Kept>);

struct Kept {
    files: Vec<PolicyFile>,
    limit_ms: u64,
    compiled: Compiled,
}

/// A server asks the gates of a handful of projects at a time.
const KEPT_MAX: usize = 16;

static CACHE: Mutex<Cache> = Mutex::new(Cache(Vec::new()));

/// By the texts alone, so that whoever asks gets what he would have compiled.
pub(crate) fn compiled(plan: &GatePlan) -> Compiled {
    if let Some(compiled) = cache().find(plan) {
        return compiled;
    }
    let compiled = compile(plan);
    cache().keep(plan, compiled.clone());
    compiled
}

fn cache() -> MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn compile(plan: &GatePlan) -> Compiled {
    let sources = plan.policies.iter().map(|file| Source::new(file.path.as_str(), file.text.as_str())).collect();
    Arc::new(Policies::compile(sources).map(|policies| policies.with_limit_ms(plan.policy_limit_ms)))
}

impl Cache {
    fn find(&mut self, plan: &GatePlan) -> Option<Compiled> {
        let at = self.0.iter().position(|it| it.limit_ms == plan.policy_limit_ms && it.files == plan.policies)?;
        self.0[at..].rotate_left(1);
        self.0.last().map(|it| it.compiled.clone())
    }

    fn keep(&mut self, plan: &GatePlan, compiled: Compiled) {
        if self.0.len() >= KEPT_MAX {
            self.0.remove(0);
        }
        self.0.push(Kept { files: plan.policies.clone(), limit_ms: plan.policy_limit_ms, compiled });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(message: &str) -> GatePlan {
        let text = format!("package plimsoll.gate\n\nimport rego.v1\n\ndeny contains \"{message}\" if input.actor == \"mallory\"\n");
        GatePlan { policies: vec![PolicyFile { path: "policy/gate.rego".to_string(), text }], ..GatePlan::default() }
    }

    #[test]
    fn the_same_texts_are_found_again_and_no_others() {
        let mut cache = Cache(Vec::new());
        let first = compile(&plan("a"));
        cache.keep(&plan("a"), first.clone());
        assert!(cache.find(&plan("a")).is_some_and(|found| Arc::ptr_eq(&found, &first)));
        assert!(cache.find(&plan("b")).is_none());
        assert!(cache.find(&GatePlan { policy_limit_ms: 1, ..plan("a") }).is_none(), "the limit is part of it");
        let other = GatePlan { coverage_min_percent: 1.0, ..plan("a") };
        assert!(cache.find(&other).is_some(), "limits on evidence are input, not rules");
    }

    #[test]
    fn what_was_not_asked_for_longest_is_forgotten() {
        let mut cache = Cache(Vec::new());
        let compiled = compile(&plan("any"));
        (0..KEPT_MAX).for_each(|number| cache.keep(&plan(&number.to_string()), compiled.clone()));
        assert!(cache.find(&plan("0")).is_some());
        cache.keep(&plan("one more"), compiled);
        assert!(cache.find(&plan("0")).is_some() && cache.find(&plan("1")).is_none());
    }
}
