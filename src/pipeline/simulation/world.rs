//! The world around the pipeline: its time, its chance, its faults, its disk, and the end of a process.
//!
//! Every call of a port is counted, and a plan says at which count what goes wrong. The process dies by
//! unwinding from the call; from then on no port does anything, until the next process begins.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fault::{Fault, Port};
use super::scene::{Content, Scene};
use super::service::Bill;
use crate::clock::Clock;
use crate::domain::job::Overdue;
use crate::domain::timing::after;
use crate::faults::{Point, Points};

/// The most calls of a case; more are a storm.
const MOST_CALLS: u64 = 6_000;

/// The payload with which a process dies.
pub(super) struct Crash;

/// What a process leaves when it dies, and what tells one case from another.
pub(super) struct World {
    inner: Mutex<Inner>,
    died: Notify,
}

pub(super) struct Inner {
    pub(super) scene: Scene,
    pub(super) bill: Bill,
    /// What was found to be wrong.
    pub(super) violations: Vec<String>,
    /// What went on, for whoever has to find out why.
    pub(super) story: Vec<String>,
    /// Whether a job may rightly fail, as things went.
    pub(super) may_fail: bool,
    /// Whether the process is dead.
    pub(super) dead: bool,
    /// Where the call of the first planned fault was, and how many faults that port has.
    pub(super) met: Option<(Port, usize)>,
    pub(super) calls: u64,
    plan: VecDeque<(u64, usize)>,
    turns: Turns,
    full_until: Option<Timestamp>,
    after_commit: Option<Fault>,
    began: Option<Instant>,
    wall: Timestamp,
    stop: CancellationToken,
    processes: u32,
    /// How often a process died.
    pub(super) deaths: u32,
    /// Why tickets were found overdue.
    pub(super) overdue: Vec<Overdue>,
    /// The recordings that were set aside as poison in the end.
    pub(super) set_aside: Vec<Content>,
    /// Whether nothing will move any more by itself, as the last look found.
    pub(super) settled: bool,
    /// When something is due next, as the last look found.
    pub(super) next: Option<Timestamp>,
}

/// How often others go first.
#[derive(Debug, Clone)]
pub(super) enum Turns {
    /// Always as often.
    Always(u32),
    /// As chance has it.
    Chance(fastrand::Rng),
}

impl World {
    /// A world in which, at the calls that `plan` names, the fault of that number occurs.
    pub(super) fn new(scene: Scene, plan: Vec<(u64, usize)>, turns: Turns) -> Arc<Self> {
        let wall = Timestamp::from_second(1_767_323_045).expect("a day in 2026");
        Arc::new(Self {
            inner: Mutex::new(Inner {
                scene,
                bill: Bill::default(),
                violations: Vec::new(),
                story: Vec::new(),
                may_fail: false,
                dead: false,
                met: None,
                calls: 0,
                plan: plan.into(),
                turns,
                full_until: None,
                after_commit: None,
                began: None,
                wall,
                stop: CancellationToken::new(),
                processes: 0,
                deaths: 0,
                overdue: Vec::new(),
                set_aside: Vec::new(),
                settled: false,
                next: None,
            }),
            died: Notify::new(),
        })
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new process begins; called where its time runs.
    pub(super) fn begin(&self, stop: CancellationToken) {
        // A death that unwound by itself has left word that nobody heard.
        let _heard = self.died.notified().now_or_never();
        let mut inner = self.inner();
        inner.dead = false;
        inner.after_commit = None;
        inner.stop = stop;
        inner.began = Some(Instant::now());
        inner.processes += 1;
        let number = inner.processes;
        inner.tell(&format!("process {number} begins"));
    }

    /// The process has ended; the wall clock goes on from where it was. Called where its time runs.
    pub(super) fn end(&self) {
        let mut inner = self.inner();
        inner.wall = inner.now();
        inner.began = None;
    }

    /// Time passes while nothing runs.
    pub(super) fn sleep_until(&self, at: Timestamp) {
        let mut inner = self.inner();
        inner.wall = inner.wall.max(at);
    }

    /// Comes back when the process has died.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }

    pub(super) fn violation(&self, text: String) {
        let mut inner = self.inner();
        inner.tell(&format!("VIOLATION: {text}"));
        inner.violations.push(text);
    }

    /// Counts a call and says what goes wrong at it. What befalls the program as a whole is done here.
    pub(super) fn call(&self, port: Port) -> Option<Fault> {
        let mut inner = self.inner();
        if inner.dead {
            drop(inner);
            self.crash();
        }
        inner.calls += 1;
        if inner.calls > MOST_CALLS {
            let text = format!("a storm: more than {MOST_CALLS} calls");
            inner.violations.push(text);
            drop(inner);
            self.crash();
        }
        let fault = inner.planned(port)?;
        inner.may_fail |= fault.may_fail_a_job();
        let number = inner.calls;
        inner.tell(&format!("call {number} of {port:?}: {fault:?}"));
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "every other fault is the port's own affair"
        )]
        match fault {
            Fault::CrashBefore => {
                drop(inner);
                self.crash();
            }
            Fault::Stop => inner.stop.cancel(),
            Fault::Change => inner.scene.change(number),
            Fault::Foreign => inner.scene.put_foreign(number),
            Fault::Jump(seconds) => inner.jump(seconds),
            _ => return Some(fault),
        }
        None
    }

    /// The process dies here and now.
    pub(super) fn crash(&self) -> ! {
        self.inner().dead = true;
        self.died.notify_one();
        std::panic::resume_unwind(Box::new(Crash));
    }

    fn commit(&self) -> io::Result<()> {
        let fault = self.call(Port::Commit);
        let mut inner = self.inner();
        if let Some(Fault::NoRoomFor(seconds)) = fault {
            inner.full_until = Some(after(inner.now(), Duration::from_secs(seconds)));
        }
        let now = inner.now();
        if fault == Some(Fault::NoRoom) || inner.full_until.is_some_and(|until| now < until) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        inner.after_commit = fault;
        Ok(())
    }

    fn file(&self, port: Port) -> io::Result<()> {
        match self.call(port) {
            Some(Fault::Denied) => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
            Some(Fault::NoRoom) => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(()),
        }
    }
}

impl Points for World {
    fn meet(&self, point: Point) -> io::Result<()> {
        match point {
            Point::Commit => self.commit(),
            Point::Committed => {
                let fault = self.inner().after_commit.take();
                if fault == Some(Fault::CrashAfter) {
                    self.crash();
                }
                Ok(())
            }
            Point::Read => self.file(Port::Read),
            Point::Decode(hash) => {
                if self.inner().scene.is_guilty(hash) {
                    self.crash();
                }
                Ok(())
            }
            Point::Draft => self.file(Port::Draft),
            Point::Rename => self.file(Port::Rename),
            Point::Renamed => self.file(Port::Renamed),
        }
    }

    fn turns(&self) -> Option<u32> {
        let mut inner = self.inner();
        if inner.dead {
            return None;
        }
        Some(match &mut inner.turns {
            Turns::Always(turns) => *turns,
            Turns::Chance(chance) => chance.u32(0..3),
        })
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.inner().now()
    }
}

impl Inner {
    pub(super) fn now(&self) -> Timestamp {
        let passed = self.began.map_or(Duration::ZERO, |began| began.elapsed());
        after(self.wall, passed)
    }

    /// Which process is running, from 1.
    pub(super) fn process(&self) -> u32 {
        self.processes
    }

    pub(super) fn tell(&mut self, text: &str) {
        let text = format!("{} {text}", self.now());
        self.story.push(text);
    }

    /// Whether everything that was planned has happened.
    pub(super) fn is_calm(&self) -> bool {
        self.plan.is_empty()
    }

    fn planned(&mut self, port: Port) -> Option<Fault> {
        let (at, choice) = *self.plan.front()?;
        if at > self.calls {
            return None;
        }
        self.plan.pop_front();
        let faults = port.faults();
        self.met.get_or_insert((port, faults.len()));
        faults.get(choice % faults.len()).copied()
    }

    fn jump(&mut self, seconds: i64) {
        let jump = SignedDuration::from_secs(seconds);
        self.wall = self.wall.checked_add(jump).unwrap_or(self.wall);
        // The disk knows nothing of the clock.
        self.full_until = self
            .full_until
            .and_then(|until| until.checked_add(jump).ok());
    }
}
