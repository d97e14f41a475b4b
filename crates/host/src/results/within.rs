//! A listener in the network of a container: what it answers is reached from within that container and from nowhere else.
//!
//! ```text
//! job ── starts ──> helper: enters the container's network, listens on its loopback
//!  └── gets the listener through their socket <──┘ and ends
//! ```
//!
//! A process that has threads can't enter another user's world, so it takes one of its own.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// `plimsoll supervise KIND /proc/PID` is the helper.
pub const KIND: &str = "network";

/// Nothing where the process is in our own network, and is answered already.
pub(super) fn listener(pid: i32, address: SocketAddr) -> Result<Option<TcpListener>, String> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let failed = |error: io::Error| format!("the container's network can't be entered: {error}");
    if same(&process, "net").map_err(failed)? {
        return Ok(None);
    }
    let (mut own, theirs) = UnixStream::pair().map_err(failed)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("plimsoll").args(["supervise", KIND]).arg(&process).current_dir("/").env_clear();
    let theirs: OwnedFd = theirs.into();
    let child = command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    drop(command);
    own.write_all(format!("{address}\n").as_bytes()).and_then(|()| own.shutdown(std::net::Shutdown::Write)).map_err(failed)?;
    let received = receive(&own);
    let output = child.wait_with_output().map_err(failed)?;
    match received.map_err(failed)? {
        Some(listener) => {
            let listener = TcpListener::from(listener);
            listener.set_nonblocking(true).map_err(failed)?;
            Ok(Some(listener))
        }
        None => Err(format!("the container's network can't be entered: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// The helper: hands over a listener in the network of that process through its standard input.
///
/// # Errors
/// Why it can't.
pub fn hand_over(process: &Path) -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut address = String::new();
    (&socket).read_to_string(&mut address)?;
    let address: SocketAddr = address.trim().parse().map_err(io::Error::other)?;
    let open = |kind: &str| fs::File::open(process.join("ns").join(kind));
    let network = open("net")?;
    if !same(process, "user")? {
        move_into_link_name_space(open("user")?.as_fd(), Some(LinkNameSpaceType::User))?;
    }
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    let listener = TcpListener::bind(address)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let listeners = [listener.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&listeners));
    sendmsg(&socket, &[IoSlice::new(b"l")], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

fn receive(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut received = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut listeners) => listeners.next(),
        _ => None,
    });
    Ok(received.next())
}

/// Whether that process is in the same world of a kind as this one.
fn same(process: &Path, kind: &str) -> io::Result<bool> {
    Ok(fs::read_link(process.join("ns").join(kind))? == fs::read_link(Path::new("/proc/self/ns").join(kind))?)
}
