use base::Timestamp;

use super::parse::{Script, What};
use super::show::Transcript;
use super::world::World;
use crate::{Phase, Rollout};

/// Scripts begin at ten in the morning.
const BEGIN_MS: i64 = 1_767_261_600_000;

/// A script without `end` that never finishes stops here.
const LENGTH_MAX_MS: u64 = 4 * 3_600_000;

/// Runs until the rollout is finished, the script says `end`, or the longest time is over.
pub(super) fn play(script: Script) -> String {
    let begin = Timestamp::from_ms(BEGIN_MS);
    let mut world = World::new(&script.plan, script.boot_ms, begin);
    let mut rollout = Rollout::new(script.plan);
    let mut transcript = Transcript::new(begin);
    let mut lines = script.lines.into_iter().map(|line| (begin.plus_ms(line.at_ms), line.what)).peekable();
    let mut now = begin;
    loop {
        while let Some((_, what)) = lines.next_if(|(at, _)| *at <= now) {
            if what == What::End {
                return transcript.end(&rollout, now);
            }
            world.apply(&what, now);
            command(&mut rollout, &what, now, &mut transcript);
        }
        let advance = rollout.advance(&world.observe(), now);
        advance.events.iter().for_each(|event| rollout.apply(event));
        transcript.advance(&advance);
        advance.actions.iter().for_each(|action| world.perform(action, now));
        let wake = advance.wake.filter(|wake| now.since_ms(begin) < LENGTH_MAX_MS && *wake > now);
        let Some(wake) = wake.filter(|_| rollout.phase() != Phase::Finished) else { return transcript.end(&rollout, now) };
        let next = lines.peek().map_or(wake, |(at, _)| wake.min(*at));
        world.pass(now, next);
        now = next;
    }
}

fn command(rollout: &mut Rollout, what: &What, now: Timestamp, transcript: &mut Transcript) {
    let What::Command { command, by } = what else { return };
    match rollout.command(*command, by, now) {
        Ok(events) => {
            events.iter().for_each(|event| rollout.apply(event));
            transcript.events(&events);
        }
        Err(refusal) => transcript.refused(*command, &refusal, now),
    }
}
