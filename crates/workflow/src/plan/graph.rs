//! The jobs of one workflow by number, so that what follows from what is looked up and not searched.

use std::collections::BTreeMap;

use crate::model::Workflow;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Graph {
    /// Ids in lower case to places in the file.
    ids: BTreeMap<String, usize>,
    /// Of each job; needs that aren't there are left out.
    needs: Vec<Vec<usize>>,
}

impl Graph {
    pub fn new(workflow: &Workflow) -> Graph {
        let ids: BTreeMap<String, usize> =
            workflow.jobs.iter().enumerate().map(|(index, job)| (job.id.to_ascii_lowercase(), index)).collect();
        let number = |need: &String| ids.get(&need.to_ascii_lowercase()).copied();
        let needs = workflow.jobs.iter().map(|job| job.needs.iter().filter_map(number).collect()).collect();
        Graph { ids, needs }
    }

    /// A job by its id, in whatever case it is written.
    pub fn job(&self, id: &str) -> Option<usize> {
        self.ids.get(&id.to_ascii_lowercase()).copied()
    }

    pub fn needs(&self, job: usize) -> &[usize] {
        &self.needs[job]
    }

    /// Everything a job needs, directly or not, in the order of the file.
    pub fn ancestors(&self, job: usize) -> Vec<usize> {
        let mut found = vec![false; self.needs.len()];
        let mut open = vec![job];
        while let Some(job) = open.pop() {
            for need in &self.needs[job] {
                if !found[*need] {
                    found[*need] = true;
                    open.push(*need);
                }
            }
        }
        (0..found.len()).filter(|job| found[*job]).collect()
    }

    /// Jobs that wait for each other: what is left when those go that need nobody left, and then those that nobody left needs.
    pub fn cycle(&self) -> Vec<usize> {
        let count = self.needs.len();
        let mut needed_by = vec![Vec::new(); count];
        for (job, needs) in self.needs.iter().enumerate() {
            needs.iter().for_each(|need| needed_by[*need].push(job));
        }
        let mut left = vec![true; count];
        peel(&mut left, &self.needs, &needed_by);
        peel(&mut left, &needed_by, &self.needs);
        (0..count).filter(|job| left[*job]).collect()
    }
}

/// Takes out, again and again, what has nothing left on its one side.
fn peel(left: &mut [bool], side: &[Vec<usize>], other: &[Vec<usize>]) {
    let mut missing: Vec<usize> = side.iter().map(|jobs| jobs.iter().filter(|job| left[**job]).count()).collect();
    let mut ready: Vec<usize> = (0..left.len()).filter(|job| left[*job] && missing[*job] == 0).collect();
    while let Some(job) = ready.pop() {
        left[job] = false;
        for next in other[job].iter().filter(|next| left[**next]) {
            missing[*next] -= 1;
            if missing[*next] == 0 {
                ready.push(*next);
            }
        }
    }
}
