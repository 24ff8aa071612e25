//! Programs that are told: what they find, what is kept of them, and how they end. In no process that takes
//! locks, which a child has for a moment, too.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use stenod::domain::job::JobId;
use stenod::domain::notice::{Event, Notice};
use stenod::receivers::{Command, CommandSettings, Receiver, Told};
use tokio_util::sync::CancellationToken;

fn notice() -> Notice {
    Notice {
        id: 7,
        name: "abc-7".to_owned(),
        event: Event::Failed,
        job: Some(JobId(3)),
        source: Some(PathBuf::from("/in/a b.wav")),
        body: r#"{"type":"failed","message":"it failed","data":{"reason":"bad_request"}}"#
            .to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
        tries: 0,
    }
}

fn shell(script: &str, limit: Duration) -> Command {
    Command::new(CommandSettings {
        program: "sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        limit,
    })
}

async fn told(script: &str) -> Told {
    let stop = CancellationToken::new();
    Receiver::Command(shell(script, Duration::from_secs(60)))
        .tell(&notice(), &stop)
        .await
}

#[tokio::test]
async fn a_program_finds_the_notice_on_its_input_and_in_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let shown = folder.path().display();
    let script = format!("cat > {shown}/body; env > {shown}/env; pwd > {shown}/pwd");
    assert_eq!(told(&script).await, Told::Taken);
    assert_eq!(fs::read_to_string(path("body")).unwrap(), notice().body);
    assert_eq!(fs::read_to_string(path("pwd")).unwrap(), "/\n");
    let environment = fs::read_to_string(path("env")).unwrap();
    for line in [
        "STENOD_EVENT=failed",
        "STENOD_SOURCE=/in/a b.wav",
        "STENOD_JOB_ID=3",
        "STENOD_NOTICE_ID=abc-7",
    ] {
        assert!(environment.lines().any(|one| one == line), "{environment}");
    }
    // Cargo sets many of these for its tests.
    assert!(!environment.contains("CARGO"), "{environment}");
}

#[tokio::test]
async fn a_program_that_fails_or_is_not_there_says_why() {
    let why = |told: Told| match told {
        Told::Refused { why, .. } => why,
        other @ (Told::Taken | Told::Gone { .. } | Told::Interrupted) => panic!("{other:?}"),
    };
    let failed = why(told("echo good; echo bad\\\\033 >&2; exit 3").await);
    assert!(failed.contains("exit status: 3: bad"), "{failed}");
    assert!(!failed.contains('\x1b'), "{failed}");
    let missing = Command::new(CommandSettings {
        program: "/no/such/program".into(),
        arguments: Vec::new(),
        limit: Duration::from_secs(1),
    });
    let stop = CancellationToken::new();
    assert_eq!(missing.found(), None);
    let missing = Receiver::Command(missing);
    let missing_why = why(missing.tell(&notice(), &stop).await);
    assert!(
        missing_why.starts_with("/no/such/program cannot be run"),
        "{missing_why}"
    );
    assert!(shell("", Duration::ZERO).found().is_some());
}

#[tokio::test]
async fn a_program_that_says_much_or_reads_nothing_is_waited_for() {
    let script = "exec <&-; i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; \
        i=$((i+1)); done";
    assert_eq!(told(script).await, Told::Taken);
}

#[tokio::test]
async fn what_a_program_leaves_behind_keeps_nobody_waiting() {
    assert_eq!(told("sleep 600 & exit 0").await, Told::Taken);
}

/// The process whose number a script wrote into a file, and whether it still runs.
fn runs(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap();
    let state = fs::read_to_string(format!("/proc/{}/stat", text.trim()));
    // A zombie has ended.
    state.is_ok_and(|state| !state.contains(") Z "))
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_ended() {
    let stop = CancellationToken::new();
    let told = Receiver::Command(shell("sleep 600", Duration::from_millis(100)))
        .tell(&notice(), &stop)
        .await;
    let Told::Refused { why, .. } = told else {
        panic!("{told:?}");
    };
    assert!(why.contains("did not end within 0.1 s"), "{why}");
}

#[tokio::test]
async fn a_program_is_ended_with_all_it_started_though_none_of_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("child");
    let script = format!(
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > {0}.draft; mv {0}.draft {0}; \
         while :; do sleep 1; done' & while :; do sleep 1; done",
        child.display()
    );
    let command = shell(&script, Duration::from_secs(600))
        .with_limits(Duration::from_millis(50), Duration::ZERO);
    let command = Receiver::Command(command);
    let stop = CancellationToken::new();
    let notice = notice();
    let stopping = async {
        while !child.exists() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (told, ()) = tokio::join!(command.tell(&notice, &stop), stopping);
    assert_eq!(told, Told::Interrupted);
    while runs(&child) {
        tokio::task::yield_now().await;
    }
}
