//! What is worth saying about the environments that jobs name.

use base::name::nearest;
use workflow::environment::Environments;
use workflow::model::{Template, Workflow};

/// Jobs that deliver to an environment which nothing protects although others are: a misspelt name protects nothing.
pub(super) fn unprotected(workflows: &[Workflow], environments: &Environments) -> Vec<String> {
    let known = || environments.protections.keys().map(String::as_str);
    if known().next().is_none() {
        return Vec::new();
    }
    let files = workflows.iter().flat_map(|workflow| std::iter::once(workflow).chain(workflow.called.values()));
    let mut remarks = Vec::new();
    for job in files.flat_map(|workflow| &workflow.jobs) {
        let Some(Template::String(name)) = job.environment.as_ref().map(|environment| &environment.name) else { continue };
        if environments.protection(name).is_some() {
            continue;
        }
        let near = nearest(name, known()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let job = &job.id;
        remarks.push(format!("`{job}` delivers to `{name}`, which is not among `environments`, so nothing protects it{near}"));
    }
    remarks
}
