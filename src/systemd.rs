//! Telling systemd how the service is: datagrams to the socket that it names in the environment.
//!
//! Without such a socket nothing is told, and nothing waits: a receiver that does not read loses a line.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The service manager, if this process was started by one that wants to hear.
#[derive(Debug, Default)]
pub struct Manager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

/// What the manager may want to know of the environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Variables<'a> {
    /// `NOTIFY_SOCKET`.
    pub notify_socket: Option<&'a OsStr>,
    /// `WATCHDOG_USEC`.
    pub watchdog_usec: Option<&'a OsStr>,
    /// `WATCHDOG_PID`.
    pub watchdog_pid: Option<&'a OsStr>,
}

impl Manager {
    /// The manager that the environment names.
    ///
    /// # Errors
    /// Where it names a socket that cannot be reached.
    pub fn find(variables: Variables<'_>) -> io::Result<Self> {
        let Some(name) = variables.notify_socket.filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address(name)?)?;
        Ok(Self {
            socket: Some(socket),
            watchdog: watchdog(variables),
        })
    }

    /// How soon after a ping the next one is expected, if any is.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Everything that a start takes is done.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The configuration is being read again; [`Manager::ready`] says when that is over.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, line: &str) {
        self.tell(&format!("STATUS={}", line.replace('\n', " ")));
    }

    /// All is well.
    pub fn ping(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(state.as_bytes())
        {
            tracing::debug!("systemd could not be told: {error}");
        }
    }
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}

fn watchdog(variables: Variables<'_>) -> Option<Duration> {
    let number = |text: &OsStr| text.to_str()?.parse::<u64>().ok();
    let pid = variables.watchdog_pid.map(number);
    if pid.is_some_and(|pid| pid != Some(u64::from(std::process::id()))) {
        return None;
    }
    let micros = variables.watchdog_usec.and_then(number)?;
    (micros > 0).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut line = [0; 256];
        let count = socket.recv(&mut line).unwrap();
        String::from_utf8_lossy(&line[..count]).into_owned()
    }

    #[test]
    fn what_is_told_arrives_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("stenod-test-{}", std::process::id());
        let hidden = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, name) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&hidden).unwrap(),
                format!("@{name}").into(),
            ),
        ] {
            let manager = Manager::find(Variables {
                notify_socket: Some(&name),
                ..Variables::default()
            })
            .unwrap();
            manager.ready();
            assert_eq!(heard(&socket), "READY=1");
            manager.reloading();
            assert!(heard(&socket).starts_with("RELOADING=1\nMONOTONIC_USEC="));
            manager.status("two\nlines");
            assert_eq!(heard(&socket), "STATUS=two lines");
        }
    }

    #[test]
    fn nobody_is_told_where_nobody_asked() {
        let manager = Manager::find(Variables::default()).unwrap();
        manager.ready();
        assert_eq!(manager.watchdog(), None);
    }

    #[test]
    fn a_watchdog_for_another_process_is_none_for_this_one() {
        let variables = |pid: &'static str| Variables {
            watchdog_usec: Some(OsStr::new("3000000")),
            watchdog_pid: Some(OsStr::new(pid)),
            ..Variables::default()
        };
        assert_eq!(watchdog(variables("1")), None);
        let own = Variables {
            watchdog_pid: None,
            ..variables("")
        };
        assert_eq!(watchdog(own), Some(Duration::from_secs(3)));
    }
}
