//! The server: listens while the state is held, and hands orders to the desk.
//!
//! Whoever is not the owner (or root) is not heard. A client that goes away, says nothing or reads
//! nothing costs a connection for some seconds, and never holds up the work.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::address::{Address, SOCKET};
use super::lines::{self, LineError};
use super::protocol::{Answer, Message, News, Order, Refusal, RefusalKind, Request, VERSION};
use crate::supervise::{TaskPanicked, Tasks};

/// The most clients at once; more wait in the kernel's own line.
const MOST_CLIENTS: usize = 16;
/// Bytes of the longest request.
const LONGEST_REQUEST: u64 = 1 << 20;
/// How long a request may take to arrive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to read a line.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a client hears that its order is still being carried out.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// News that wait for a client; beyond that they are dropped, since the table has them.
const NEWS_AHEAD: usize = 1024;
/// How long orders may take to end when the state is let go.
const LAST_ORDERS: Duration = Duration::from_secs(5);
/// The wait after a client that could not be let in, for want of descriptors.
const ACCEPT_WAIT: Duration = Duration::from_secs(1);

/// Carries orders out.
pub trait Desk: Send + Sync + 'static {
    /// Carries out `order`, telling what happens meanwhile.
    fn receive(
        self: Arc<Self>,
        order: Order,
        told: Told,
    ) -> BoxFuture<'static, Result<Answer, Refusal>>;
}

/// Where news for one client go.
#[derive(Debug, Clone)]
pub struct Told(mpsc::Sender<News>);

/// A place for news, and where they come out.
pub fn told() -> (Told, mpsc::Receiver<News>) {
    let (sender, receiver) = mpsc::channel(NEWS_AHEAD);
    (Told(sender), receiver)
}

impl Told {
    /// Tells the client, unless it has gone or cannot keep up.
    pub fn tell(&self, news: News) {
        match self.0.try_send(news) {
            // The table has what is lost here.
            Ok(()) | Err(_) => {}
        }
    }

    /// Comes back when the client has gone.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}

/// Listens at the control socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Begins to listen in `state_dir`, whose lock the caller must hold: what another process left there is
    /// then known to be dead, and is replaced.
    ///
    /// # Errors
    /// Where the socket cannot be made.
    pub fn bind(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(SOCKET);
        remove_dead(&path)?;
        let address = Address::in_folder(state_dir)?;
        let listener = UnixListener::bind(address.path())?;
        // Others may knock before this, and are turned away by who they are.
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Serves until `stop`; orders under way are then given a moment to end.
    ///
    /// # Errors
    /// [`TaskPanicked`] where carrying out an order ends by a fault of its own.
    pub async fn serve(
        self,
        desk: Arc<dyn Desk>,
        stop: CancellationToken,
    ) -> Result<(), TaskPanicked> {
        let mut clients: Tasks<()> = Tasks::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                ended = clients.next() => ended?,
                stream = self.listener.accept(), if clients.len() < MOST_CLIENTS => match stream {
                    Ok((stream, _)) => clients.start(attend(stream, desk.clone())),
                    Err(error) => {
                        tracing::warn!("a client of the control socket could not be let in: {error}");
                        sleep(ACCEPT_WAIT).await;
                    }
                },
            }
        }
        let ending = async {
            while !clients.is_empty() {
                clients.next().await?;
            }
            Ok(())
        };
        timeout(LAST_ORDERS, ending).await.unwrap_or(Ok(()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!("{} stays: {error}", self.path.display());
        }
    }
}

/// Takes a socket away that nobody listens at any more; anything else is left, and binding fails.
fn remove_dead(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

async fn attend(stream: UnixStream, desk: Arc<dyn Desk>) {
    if !is_allowed(&stream) {
        tracing::warn!("somebody else than the owner knocked at the control socket");
        return;
    }
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let message = match request(&mut reader).await {
        Some(Ok(order)) => return carry_out(order, desk, reader, writer).await,
        Some(Err(refusal)) => Message::Refused(refusal),
        None => return,
    };
    say(&mut writer, &message).await;
}

fn is_allowed(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) => peer.uid() == own || peer.uid() == 0,
        Err(_) => false,
    }
}

/// What the client wants; `None` where it went away or said nothing.
async fn request(reader: &mut BufReader<OwnedReadHalf>) -> Option<Result<Order, Refusal>> {
    let malformed = |error: &dyn std::fmt::Display| {
        Refusal::new(
            RefusalKind::Malformed,
            format!("the request is refused: {error}"),
        )
    };
    let read = lines::read::<Request>(reader, LONGEST_REQUEST);
    let request = match timeout(REQUEST_TIMEOUT, read).await {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None) | Err(LineError::Stream(_))) | Err(_) => return None,
        Ok(Err(error)) => return Some(Err(malformed(&error))),
    };
    if request.version != VERSION {
        let message = format!(
            "this stenod speaks version {VERSION} of the control protocol, and the request version {}",
            request.version
        );
        let refusal = Refusal::new(RefusalKind::Version, message);
        return Some(Err(refusal.hint("restart the older of the two")));
    }
    Some(serde_json::from_value(request.order).map_err(|error| malformed(&error)))
}

/// Carries an order out to its end, whether its client stays or not.
async fn carry_out(
    order: Order,
    desk: Arc<dyn Desk>,
    mut reader: BufReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
) {
    let (told, news) = told();
    let mut news = Some(news);
    let mut done = desk.receive(order, told);
    let mut alive = interval(ALIVE_EVERY);
    let mut byte = [0];
    let last = loop {
        let message = tokio::select! {
            biased;
            Some(heard) = next(&mut news) => Message::News(heard),
            done = &mut done => break done,
            // A client has nothing more to say: whatever comes means that it has gone.
            _ = reader.read(&mut byte), if news.is_some() => {
                news = None;
                continue;
            }
            _ = alive.tick() => Message::Alive,
        };
        if news.is_some() && !say(&mut writer, &message).await {
            news = None;
        }
    };
    let Some(mut news) = news else { return };
    while let Ok(heard) = news.try_recv() {
        say(&mut writer, &Message::News(heard)).await;
    }
    let last = last.map_or_else(Message::Refused, Message::Done);
    say(&mut writer, &last).await;
}

async fn next(news: &mut Option<mpsc::Receiver<News>>) -> Option<News> {
    match news {
        Some(news) => news.recv().await,
        None => None,
    }
}

/// Says something to a client; tells whether it was heard.
async fn say(writer: &mut OwnedWriteHalf, message: &Message) -> bool {
    match timeout(WRITE_TIMEOUT, lines::write(writer, message)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::debug!("a client of the control socket has gone: {error}");
            false
        }
        Err(_) => {
            tracing::debug!("a client of the control socket does not read");
            false
        }
    }
}
