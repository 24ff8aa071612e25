//! The one writer: a thread that owns the connection and commits in groups.
//!
//! Whatever work has queued up is run in one transaction, each piece behind a savepoint of its own, and
//! is answered only after the commit is on disk. No transaction is ever open while anybody waits. What only
//! reads comes after that commit, whose failure is not its own: a disk that is full can still be read. What reads
//! nothing but what is committed need not wait for the disk: a thread beside has a connection for that.

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::QueueError;

/// The most pieces of work in one transaction.
const LARGEST_GROUP: usize = 256;
/// The most pieces of work that wait for the writer; more wait for room.
const LONGEST_LINE: usize = 1024;

/// Answers a piece of work once the commit's fate is known.
type Answer = Box<dyn FnOnce(Result<(), Arc<rusqlite::Error>>) + Send>;
/// Runs in the transaction, if that could be begun, and leaves its answer for after the commit.
type Writing = Box<dyn FnOnce(Result<&Connection, Arc<rusqlite::Error>>) -> Answer + Send>;
/// Reads what is committed, and answers at once.
type Reading = Box<dyn FnOnce(&Connection) + Send>;

/// A piece of work.
enum Work {
    Writing(Writing),
    Reading(Reading),
}

/// The handle on the writer's thread, and on that of the reader beside it.
#[derive(Debug)]
pub(super) struct Writer {
    line: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    beside: Option<mpsc::Sender<Reading>>,
    reader: Option<JoinHandle<()>>,
    /// In a simulation the work is done in place, so that everything happens in one order.
    #[cfg(test)]
    in_place: Option<std::sync::Mutex<Connection>>,
}

impl Writer {
    /// Starts the thread that owns `connection`, and the one that reads by `beside` what is committed.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn start(
        connection: Connection,
        beside: Option<Connection>,
    ) -> std::io::Result<Self> {
        #[cfg(test)]
        if crate::faults::simulated() {
            return Ok(Self {
                line: None,
                thread: None,
                beside: None,
                reader: None,
                in_place: Some(std::sync::Mutex::new(connection)),
            });
        }
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let (mut queries, mut reader) = (None, None);
        if let Some(beside) = beside {
            let (line, work) = mpsc::channel(LONGEST_LINE);
            reader = Some(named("queue-reader").spawn(move || answer(&beside, work))?);
            queries = Some(line);
        }
        let (line, work) = mpsc::channel(LONGEST_LINE);
        let thread = named("queue-writer").spawn(move || serve(connection, work))?;
        Ok(Self {
            line: Some(line),
            thread: Some(thread),
            beside: queries,
            reader,
            #[cfg(test)]
            in_place: None,
        })
    }

    /// Runs `work` in a transaction and comes back when its commit is on disk.
    ///
    /// # Errors
    /// The error of the work, which is then undone alone, or that of the commit.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (sender, receiver) = oneshot::channel();
        let work = Work::Writing(Box::new(move |connection| {
            let result = connection
                .map_err(QueueError::Commit)
                .and_then(|connection| in_savepoint(connection, work));
            Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => result,
                    Err(error) => result.and(Err(QueueError::Commit(error))),
                };
                // The one who asked may have been cancelled meanwhile; the work stands all the same.
                drop(sender.send(result));
            })
        }));
        self.hand_over(work).await?;
        receiver.await.map_err(|_| QueueError::Closed)?
    }

    /// Runs `query`, which changes nothing, on what is committed.
    ///
    /// # Errors
    /// The error of the query.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (sender, receiver) = oneshot::channel();
        let work = Work::Reading(Box::new(move |connection| {
            // The one who asked may have been cancelled meanwhile.
            drop(sender.send(query(connection)));
        }));
        self.hand_over(work).await?;
        receiver.await.map_err(|_| QueueError::Closed)?
    }

    /// Runs `query`, which needs nothing that is the writer's own, on what is committed at this moment, without
    /// waiting for what is being written.
    ///
    /// # Errors
    /// The error of the query.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let Some(beside) = &self.beside else {
            return self.read(query).await;
        };
        let (sender, receiver) = oneshot::channel();
        // The one who asked may have been cancelled meanwhile.
        let work: Reading = Box::new(move |connection| drop(sender.send(query(connection))));
        beside.send(work).await.map_err(|_| QueueError::Closed)?;
        receiver.await.map_err(|_| QueueError::Closed)?
    }

    async fn hand_over(&self, work: Work) -> Result<(), QueueError> {
        #[cfg(test)]
        if let Some(connection) = &self.in_place {
            crate::faults::interleave().await;
            {
                let mut connection = connection.lock().map_err(|_| QueueError::Closed)?;
                run_group(&mut connection, vec![work]);
            }
            crate::faults::interleave().await;
            return Ok(());
        }
        let line = self.line.as_ref().ok_or(QueueError::Closed)?;
        line.send(work).await.map_err(|_| QueueError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Whoever closes the table last tidies up its files, which only the writer can.
        drop(self.beside.take());
        end(self.reader.take());
        drop(self.line.take());
        end(self.thread.take());
    }
}

fn end(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of the job table ended by a fault of its own");
    }
}

fn answer(connection: &Connection, mut line: mpsc::Receiver<Reading>) {
    while let Some(query) = line.blocking_recv() {
        query(connection);
    }
}

fn serve(mut connection: Connection, mut line: mpsc::Receiver<Work>) {
    while let Some(first) = line.blocking_recv() {
        let mut group = vec![first];
        while group.len() < LARGEST_GROUP
            && let Ok(next) = line.try_recv()
        {
            group.push(next);
        }
        run_group(&mut connection, group);
    }
}

fn run_group(connection: &mut Connection, group: Vec<Work>) {
    let mut writing = Vec::new();
    let mut reading = Vec::new();
    for work in group {
        match work {
            Work::Writing(work) => writing.push(work),
            Work::Reading(work) => reading.push(work),
        }
    }
    if !writing.is_empty() {
        write(connection, writing);
    }
    for read in reading {
        read(connection);
    }
}

fn write(connection: &mut Connection, group: Vec<Writing>) {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            let error = Arc::new(error);
            for work in group {
                work(Err(error.clone()))(Err(error.clone()));
            }
            return;
        }
    };
    #[cfg(test)]
    let changes = transaction.total_changes();
    let answers: Vec<Answer> = group
        .into_iter()
        .map(|work| work(Ok(&transaction)))
        .collect();
    #[cfg(test)]
    let committed = commit_in_simulation(transaction, changes).map_err(Arc::new);
    #[cfg(not(test))]
    let committed = transaction.commit().map_err(Arc::new);
    for answer in answers {
        answer(committed.clone());
    }
}

/// Commits; where something was changed, through the points at which a simulation may break in.
#[cfg(test)]
fn commit_in_simulation(
    transaction: rusqlite::Transaction<'_>,
    changes: u64,
) -> rusqlite::Result<()> {
    use crate::faults::{Point, meet};

    if transaction.total_changes() == changes {
        return transaction.commit();
    }
    let full = |error: std::io::Error| {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        rusqlite::Error::SqliteFailure(code, Some(error.to_string()))
    };
    meet(Point::Commit).map_err(full)?;
    transaction.commit()?;
    meet(Point::Committed).map_err(full)
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, QueueError>,
) -> Result<T, QueueError> {
    let run = |sql: &str| connection.prepare_cached(sql)?.execute([]);
    run("SAVEPOINT work")?;
    let result = work(connection);
    if result.is_err() {
        run("ROLLBACK TO work")?;
    }
    run("RELEASE work")?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> Writer {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE numbers (n INTEGER PRIMARY KEY) STRICT")
            .unwrap();
        Writer::start(connection, None).unwrap()
    }

    async fn insert(writer: &Writer, number: i64) -> Result<(), QueueError> {
        writer
            .run(move |connection| {
                connection.execute("INSERT INTO numbers VALUES (?1)", [number])?;
                Ok(())
            })
            .await
    }

    #[tokio::test]
    async fn work_that_fails_is_undone_alone() {
        let writer = writer();
        let results = tokio::join!(insert(&writer, 1), insert(&writer, 1), insert(&writer, 2));
        assert!(results.0.is_ok() && results.1.is_err() && results.2.is_ok());
        let count: i64 = writer
            .run(|connection| {
                Ok(connection.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))?)
            })
            .await
            .unwrap();
        assert_eq!(count, 2);
    }

    #[tokio::test]
    async fn a_query_is_answered_although_what_is_written_beside_it_cannot_be_committed() {
        let connection = Connection::open_in_memory().unwrap();
        let deferred = "CREATE TABLE numbers (n INTEGER PRIMARY KEY, of INTEGER
            REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED) STRICT; PRAGMA foreign_keys = 1";
        connection.execute_batch(deferred).unwrap();
        let writer = Writer::start(connection, None).unwrap();
        let insert = writer.run(|connection| {
            connection.execute("INSERT INTO numbers VALUES (1, 2)", [])?;
            Ok(())
        });
        let query = writer.read(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))?)
        });
        let (inserted, count): (_, Result<i64, _>) = tokio::join!(insert, query);
        assert!(
            matches!(inserted, Err(QueueError::Commit(_))),
            "{inserted:?}"
        );
        assert_eq!(count.unwrap(), 0);
    }

    #[tokio::test]
    async fn work_goes_on_when_the_one_who_asked_has_gone() {
        let writer = writer();
        {
            let asked = insert(&writer, 7);
            tokio::pin!(asked);
            // Polled once, so that the work is in the line, and then dropped.
            let polled = std::future::poll_fn(|context| {
                std::task::Poll::Ready(asked.as_mut().poll(context).is_pending())
            });
            assert!(polled.await);
        }
        assert!(insert(&writer, 7).await.is_err(), "7 is there already");
    }

    #[tokio::test]
    async fn what_reads_what_is_committed_does_not_wait_for_the_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.db");
        let connection = Connection::open(&path).unwrap();
        let table =
            "PRAGMA journal_mode = WAL; CREATE TABLE numbers (n INTEGER PRIMARY KEY) STRICT";
        connection.execute_batch(table).unwrap();
        let beside = Connection::open(&path).unwrap();
        let writer = Writer::start(connection, Some(beside)).unwrap();
        insert(&writer, 7).await.unwrap();

        let (began, begun) = oneshot::channel();
        let (gate, closed) = std::sync::mpsc::sync_channel(1);
        let slow = writer.run(move |connection: &Connection| {
            connection.execute("INSERT INTO numbers VALUES (8)", [])?;
            began.send(()).unwrap();
            closed.recv().unwrap();
            Ok(())
        });
        let count = |connection: &Connection| -> Result<i64, QueueError> {
            Ok(connection.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))?)
        };
        let beside = async {
            begun.await.unwrap();
            let counted = writer.look(count).await;
            gate.send(()).unwrap();
            counted
        };
        let (written, counted) = tokio::join!(slow, beside);
        written.unwrap();
        assert_eq!(counted.unwrap(), 1);
        assert_eq!(writer.look(count).await.unwrap(), 2);
    }
}
