//! Which bytes an image's name means: settled before anything is asked for, so that a plan and its way back run the same.

use host::container::{CHOICE, Engine, Image, bring, find, short};
use rollout::Container;

use super::{Composed, Contained};
use crate::failure::{Failure, Result};

/// Looks for the image, brings it where it is missing, and writes into the proposal what it is. Blocks; `say` is told what takes long.
///
/// # Errors
/// When there is no engine, no such image, or nothing in it to start.
pub fn settle(composed: &mut Composed, say: impl FnOnce(&str)) -> Result<()> {
    let Some(Contained { asked, files, port }) = composed.container.clone() else { return Ok(()) };
    let engine = Engine::find(std::env::var(CHOICE).ok().as_deref(), &std::env::var("PATH").unwrap_or_default());
    let engine = engine.map_err(|why| Failure::usage(format!("`container:` in plimsoll.yaml needs a container engine: {why}")))?;
    let name = &asked.image;
    let unavailable = |why: String| {
        Failure::usage(format!("the image `{name}` can't be had, so nothing was started: {why}"))
            .hint(format!("`{0} pull {name}` shows whether it can be brought, `{0} login` shows a registry who asks", engine.name()))
    };
    let image = match find(&engine, name).map_err(&unavailable)? {
        Some(image) => image,
        None => {
            say(&format!("bringing the image {name}"));
            bring(&engine, name).map_err(&unavailable)?
        }
    };
    let delivery = &mut composed.proposal.delivery;
    if delivery.command.is_empty() && !image.has_command {
        return Err(Failure::usage(format!("the image `{name}` has no command of its own, so it isn't known what runs in it"))
            .hint("`start: COMMAND` in plimsoll.yaml is run by `sh -c` in it, with the artifact at `/app`"));
    }
    let starts = composed.summary.iter_mut().filter(|(word, _)| *word == "starts");
    starts.for_each(|(_, text)| text.push_str(&format!("; it is {}", short(&image.id))));
    delivery.container = Some(Container {
        port: port.or_else(|| exposed(&image).filter(|_| delivery.command.is_empty())),
        image: asked.image,
        id: image.id,
        source: image.source,
        files,
        user: asked.user,
        writable: asked.read_only == Some(false),
        memory_bytes: asked.memory_bytes,
        cpu_millis: asked.cpu_millis,
        processes_max: asked.processes,
    });
    Ok(())
}

/// Where what an image runs by itself listens, if it names one place alone.
fn exposed(image: &Image) -> Option<u16> {
    match image.ports.as_slice() {
        [port] => Some(*port),
        _ => None,
    }
}
