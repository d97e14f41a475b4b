//! The same for other programs: Mermaid, which GitHub and GitLab show in Markdown, and Graphviz.

use std::fmt::Write as _;

use super::{Graph, Node};

pub fn mermaid(graphs: &[Graph]) -> String {
    let mut text = "flowchart LR\n".to_string();
    for (number, graph) in graphs.iter().enumerate() {
        let many = graphs.len() > 1;
        let (prefix, indent) = if many { (format!("w{number}_"), "    ") } else { (String::new(), "  ") };
        if many {
            let _ = writeln!(text, "  subgraph w{number}[\"{}\"]", in_mermaid(&graph.path));
        }
        mermaid_jobs(&mut text, &graph.jobs, &prefix, indent);
        if many {
            text.push_str("  end\n");
        }
    }
    text.trim_end().to_string()
}

fn mermaid_jobs(text: &mut String, jobs: &[Node], prefix: &str, indent: &str) {
    for job in jobs {
        let id = node_id(prefix, &job.id);
        let label = in_mermaid(&label(job));
        if job.jobs.is_empty() {
            let _ = writeln!(text, "{indent}{id}[\"{label}\"]");
        } else {
            let _ = writeln!(text, "{indent}subgraph {id}[\"{label}\"]");
            mermaid_jobs(text, &job.jobs, &format!("{id}_"), &format!("{indent}  "));
            let _ = writeln!(text, "{indent}end");
        }
    }
    for (need, job) in edges(jobs) {
        let _ = writeln!(text, "{indent}{} --> {}", node_id(prefix, &need.id), node_id(prefix, &job.id));
    }
}

pub fn dot(graphs: &[Graph]) -> String {
    let mut text = "digraph plan {\n  rankdir=LR; compound=true; node [shape=box];\n".to_string();
    for (number, graph) in graphs.iter().enumerate() {
        let _ = writeln!(text, "  subgraph cluster_w{number} {{\n    label={};", quoted(&graph.path));
        dot_jobs(&mut text, &graph.jobs, &format!("w{number}_"), "    ");
        text.push_str("  }\n");
    }
    text.push('}');
    text
}

fn dot_jobs(text: &mut String, jobs: &[Node], prefix: &str, indent: &str) {
    for job in jobs {
        let id = node_id(prefix, &job.id);
        let label = quoted(&label(job));
        if job.jobs.is_empty() {
            let _ = writeln!(text, "{indent}{id} [label={label}];");
        } else {
            let _ = writeln!(text, "{indent}{id} [label={label}, style=bold];");
            let _ = writeln!(text, "{indent}subgraph cluster_{id} {{\n{indent}  label={label};");
            dot_jobs(text, &job.jobs, &format!("{id}_"), &format!("{indent}  "));
            let _ = writeln!(text, "{indent}}}");
        }
    }
    for (need, job) in edges(jobs) {
        let _ = writeln!(text, "{indent}{} -> {};", node_id(prefix, &need.id), node_id(prefix, &job.id));
    }
}

fn edges(jobs: &[Node]) -> impl Iterator<Item = (&Node, &Node)> {
    let by_id = |id: &str| jobs.iter().find(|job| job.id.eq_ignore_ascii_case(id));
    jobs.iter().flat_map(move |job| job.needs.iter().filter_map(move |need| Some((by_id(need)?, job))))
}

fn label(job: &Node) -> String {
    match (&job.matrix, job.legs.len()) {
        (Some(_), _) => format!("{} (matrix)", job.id),
        (None, 0) => job.id.clone(),
        (None, legs) => format!("{} ×{legs}", job.id),
    }
}

/// Ids of jobs may hold `-`, and `end` is a word of Mermaid's own.
fn node_id(prefix: &str, id: &str) -> String {
    format!("{prefix}{}_", id.replace('-', "__"))
}

fn in_mermaid(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
