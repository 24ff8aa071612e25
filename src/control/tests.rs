//! The socket between real ends, in a real folder.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as Raw;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::address::SOCKET;
use super::*;
use crate::domain::job::JobId;
use crate::supervise::Tasks;

/// Answers each order with its own words.
struct Echo;

impl Desk for Echo {
    fn receive(
        self: Arc<Self>,
        order: Order,
        told: Told,
    ) -> BoxFuture<'static, Result<Answer, Refusal>> {
        Box::pin(async move {
            match order {
                Order::Resume => Ok(Answer::Resumed(vec!["key".to_owned()])),
                Order::Cancel { jobs } => {
                    jobs.iter().for_each(|job| told.tell(News::Job(*job)));
                    Ok(Answer::Changed {
                        changed: jobs,
                        left: Vec::new(),
                    })
                }
                Order::Reload
                | Order::Retry { .. }
                | Order::Pause { .. }
                | Order::Plan(_)
                | Order::Terms(_)
                | Order::Run(_)
                | Order::Speakers { .. }
                | Order::Render(_)
                | Order::Waiting { .. } => {
                    Err(Refusal::new(RefusalKind::Impossible, "not here").hint("elsewhere"))
                }
            }
        })
    }
}

struct Served {
    stop: CancellationToken,
    tasks: Tasks<Result<(), crate::supervise::TaskPanicked>>,
}

fn serve(folder: &Path) -> Served {
    let stop = CancellationToken::new();
    let mut tasks = Tasks::new();
    let server = Server::bind(folder).unwrap();
    tasks.start(server.serve(Arc::new(Echo), stop.clone()));
    Served { stop, tasks }
}

impl Served {
    async fn end(mut self) {
        self.stop.cancel();
        self.tasks.next().await.unwrap().unwrap();
    }
}

async fn ask(folder: &Path, order: &Order) -> Message {
    Call::place(folder, order)
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
}

/// Sends bytes as they are; gives the line that comes back.
async fn raw(folder: &Path, bytes: Vec<u8>) -> String {
    let path = folder.join(SOCKET);
    crate::supervise::blocking(move || {
        let mut stream = Raw::connect(path).unwrap();
        // A server that has heard enough closes before the last byte is written.
        drop(stream.write_all(&bytes));
        let mut said = String::new();
        drop(stream.read_to_string(&mut said));
        said
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn an_order_is_carried_out_and_its_news_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let jobs = vec![JobId(3), JobId(9)];
    let mut call = Call::place(folder.path(), &Order::Cancel { jobs: jobs.clone() })
        .await
        .unwrap();
    assert_eq!(
        call.next().await.unwrap(),
        Message::News(News::Job(JobId(3)))
    );
    assert_eq!(
        call.next().await.unwrap(),
        Message::News(News::Job(JobId(9)))
    );
    let changed = Answer::Changed {
        changed: jobs,
        left: Vec::new(),
    };
    assert_eq!(call.next().await.unwrap(), Message::Done(changed));
    assert!(matches!(call.next().await, Err(CallError::Gone)));
    served.end().await;
    assert!(!folder.path().join(SOCKET).exists());
}

#[tokio::test]
async fn a_refusal_keeps_its_kind_and_its_hint() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let Message::Refused(refusal) = ask(folder.path(), &Order::Reload).await else {
        panic!("carried out")
    };
    assert_eq!(refusal.kind, RefusalKind::Impossible);
    assert_eq!(refusal.hint.as_deref(), Some("elsewhere"));
    served.end().await;
}

#[tokio::test]
async fn the_socket_is_the_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mode = folder
        .path()
        .join(SOCKET)
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    served.end().await;
}

#[tokio::test]
async fn a_folder_deeper_than_an_address_is_long_has_a_socket_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let deep: PathBuf = folder.path().join("d".repeat(200)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let served = serve(&deep);
    let answer = ask(&deep, &Order::Resume).await;
    assert_eq!(
        answer,
        Message::Done(Answer::Resumed(vec!["key".to_owned()]))
    );
    served.end().await;
    assert!(!deep.join(SOCKET).exists());
}

#[tokio::test]
async fn what_a_killed_process_left_is_replaced_and_nobody_is_there_before() {
    let folder = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap());
    let nobody = Call::place(folder.path(), &Order::Resume).await;
    assert!(
        matches!(nobody, Err(CallError::NobodyThere(_))),
        "{nobody:?}"
    );
    let served = serve(folder.path());
    ask(folder.path(), &Order::Resume).await;
    served.end().await;
}

#[tokio::test]
async fn a_file_of_somebody_in_its_place_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SOCKET);
    #[expect(
        clippy::disallowed_methods,
        reason = "a file as somebody may have left it"
    )]
    File::create(&path).unwrap();
    Server::bind(folder.path()).unwrap_err();
    assert!(path.is_file());
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let cases = [
        ("{\"version\":2,\"order\":\"resume\"}\n", "version"),
        ("{\"version\":1,\"order\":\"dance\"}\n", "malformed"),
        (
            "{\"version\":1,\"order\":{\"cancel\":{\"jobs\":[1],\"hard\":true}}}\n",
            "malformed",
        ),
        ("resume\n", "malformed"),
    ];
    for (request, kind) in cases {
        let said = raw(folder.path(), request.into()).await;
        assert!(
            said.contains(&format!("\"kind\":\"{kind}\"")),
            "{request}: {said}"
        );
    }
    let endless = raw(folder.path(), vec![b'x'; (1 << 20) + 1]).await;
    assert!(
        endless.is_empty() || endless.contains("longer than"),
        "{endless}"
    );
    ask(folder.path(), &Order::Resume).await;
    served.end().await;
}

#[test]
fn a_name_of_odd_bytes_survives_the_wire() {
    use std::os::unix::ffi::OsStringExt as _;

    let odd = PathBuf::from(std::ffi::OsString::from_vec(vec![b'/', 0xff, b'\n', b'a']));
    for path in [odd, PathBuf::from("/grün/ß.mp3")] {
        let line = serde_json::to_string(&Named::from(path.as_path())).unwrap();
        let back: Named = serde_json::from_str(&line).unwrap();
        assert_eq!(PathBuf::from(back), path);
    }
}
