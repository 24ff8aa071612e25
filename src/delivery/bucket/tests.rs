//! The bucket against a storage that checks every signature.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use stenod_support::s3::{ACCESS_KEY, Asked, BUCKET, Deviation, S3, SECRET_KEY};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::delivery::Unchanged;
use crate::domain::job::ContentHash;
use crate::domain::object::{Part, Upload};
use crate::durable::{Existing, write};

mod clouds;

const PREFIX: &str = "stenod/inbox";

fn settings(storage: &S3) -> Settings {
    Settings {
        url: format!("s3://{BUCKET}/{PREFIX}"),
        endpoint: Some(storage.endpoint()),
        region: None,
        key_id: Some(ACCESS_KEY.to_owned()),
        secret: Some(Secret::Word(SecretString::from(SECRET_KEY))),
        link_lifetime: Duration::from_secs(3600),
        variables: Box::new(|_| None),
    }
}

fn open(settings: &Settings) -> Bucket {
    Bucket::open(settings, Box::new(|_, asked| asked.unwrap_or_default())).unwrap()
}

fn installation() -> Installation {
    Installation::parse("00112233445566aa").unwrap()
}

fn name() -> ObjectName {
    Bucket::new_name(&installation(), "mp3").unwrap()
}

fn another_name() -> ObjectName {
    name()
}

/// A recording of two whole parts and a bit.
fn recording() -> (tempfile::TempDir, Content, Vec<u8>) {
    let size = usize::try_from(PART_SIZE).unwrap() * 2 + 17;
    let bytes: Vec<u8> = (0_u8..251).cycle().take(size).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a private name.mp3");
    write(&path, &bytes, Existing::Keep).unwrap();
    let content = Content {
        path,
        size: bytes.len() as u64,
        hash: ContentHash(*blake3::hash(&bytes).as_bytes()),
    };
    (folder, content, bytes)
}

/// Keeps what a row would.
#[derive(Default)]
struct Notes(Mutex<Kept>);

#[derive(Default, Clone)]
struct Kept {
    upload: Option<String>,
    parts: BTreeMap<u32, Part>,
    finished: bool,
    version: Option<Version>,
}

impl Notes {
    fn kept(&self) -> Kept {
        self.0.lock().unwrap().clone()
    }

    fn upload(&self) -> Option<Upload> {
        let kept = self.kept();
        Some(Upload {
            id: kept.upload?,
            parts: kept.parts.into_iter().collect(),
        })
    }

    fn remains(&self, name: &ObjectName) -> Remains {
        let kept = self.kept();
        Remains {
            name: name.clone(),
            upload: kept.upload.filter(|_| !kept.finished),
            version: kept.version,
        }
    }
}

impl Journal for Notes {
    type Error = Infallible;

    async fn begun(&self, id: &str) -> Result<(), Infallible> {
        *self.0.lock().unwrap() = Kept {
            upload: Some(id.to_owned()),
            ..Kept::default()
        };
        Ok(())
    }

    async fn part_done(&self, number: u32, part: &Part) -> Result<(), Infallible> {
        self.0.lock().unwrap().parts.insert(number, part.clone());
        Ok(())
    }

    async fn finished(&self, version: Option<&Version>) -> Result<(), Infallible> {
        let mut kept = self.0.lock().unwrap();
        kept.finished = true;
        kept.version = version.cloned();
        Ok(())
    }
}

struct Put {
    result: Result<Unchanged, UploadError<Infallible>>,
    told: u64,
}

async fn put(bucket: &Bucket, name: &ObjectName, content: &Content, notes: &Notes) -> Put {
    put_until(bucket, name, content, notes, &CancellationToken::new()).await
}

async fn put_until(
    bucket: &Bucket,
    name: &ObjectName,
    content: &Content,
    notes: &Notes,
    stop: &CancellationToken,
) -> Put {
    let last = Arc::new(AtomicU64::new(0));
    let told = last.clone();
    let tell: Tell = Arc::new(move |bytes| told.store(bytes, Ordering::Relaxed));
    let result = bucket
        .upload(name, content, notes.upload(), notes, tell, stop)
        .await;
    Put {
        result,
        told: last.load(Ordering::Relaxed),
    }
}

async fn get(url: &str) -> (u16, Vec<u8>) {
    let client = wire::client(true).unwrap();
    let answer = client.get(url).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.bytes().await.unwrap().to_vec())
}

fn parts_asked(storage: &S3) -> Vec<u32> {
    let mut parts: Vec<u32> = storage.asked().iter().filter_map(Asked::part).collect();
    parts.sort_unstable();
    parts
}

#[tokio::test]
async fn a_recording_goes_there_is_fetched_by_its_link_and_goes_away() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, bytes) = recording();
    let (name, notes) = (name(), Notes::default());
    let put = put(&bucket, &name, &content, &notes).await;
    put.result.unwrap();
    assert_eq!(put.told, content.size);
    let key = format!("{PREFIX}/{name}");
    let keys: Vec<String> = storage.objects().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [key]);
    let link = bucket.link(&name).await.unwrap();
    let (status, fetched) = get(link.expose_secret()).await;
    assert_eq!(status, 200);
    assert!(fetched == bytes, "the bytes are the same");
    let listed = bucket.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].0, name);
    bucket.remove(&notes.remains(&name)).await.unwrap();
    assert_eq!(storage.objects(), []);
    assert_eq!(get(link.expose_secret()).await.0, 404);
    bucket.remove(&notes.remains(&name)).await.unwrap();
}

#[tokio::test]
async fn a_link_that_was_tampered_with_or_has_expired_leads_nowhere() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, _) = recording();
    let (name, notes) = (name(), Notes::default());
    put(&bucket, &name, &content, &notes).await.result.unwrap();
    let link = bucket.link(&name).await.unwrap();
    let mut other = Url::parse(link.expose_secret()).unwrap();
    other.set_path(&format!("/{BUCKET}/{PREFIX}/{}", another_name()));
    let longer = link
        .expose_secret()
        .replace("Expires=3600", "Expires=36000");
    assert_ne!(longer, link.expose_secret());
    for forged in [other.as_str(), &longer] {
        let status = get(forged).await.0;
        assert!(matches!(status, 400 | 403), "{status}");
    }
    // A link that ends with the second in which it was made.
    let short = Settings {
        link_lifetime: Duration::ZERO,
        ..settings(&storage)
    };
    let expired = open(&short).link(&name).await.unwrap();
    let mut status = get(expired.expose_secret()).await.0;
    while status == 200 {
        status = get(expired.expose_secret()).await.0;
    }
    assert!(matches!(status, 400 | 403), "{status}");
}

#[tokio::test]
async fn a_link_is_never_printed() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let link = bucket.link(&name()).await.unwrap();
    assert!(link.expose_secret().contains("X-Amz-Signature="));
    let shown = format!("{link:?}");
    assert!(
        !shown.contains("http") && !shown.contains("X-Amz"),
        "{shown}"
    );
}

#[tokio::test]
async fn after_a_crash_only_what_is_missing_is_sent() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, bytes) = recording();
    let (name, notes) = (name(), Notes::default());
    storage.deviate(|asked| {
        (asked.part() == Some(3)).then_some(Deviation::Refuse(403, "AccessDenied"))
    });
    let broken = put(&bucket, &name, &content, &notes)
        .await
        .result
        .unwrap_err();
    assert!(
        matches!(broken, UploadError::Bucket(BucketError::Denied(_))),
        "{broken:?}"
    );
    let done: Vec<u32> = notes.kept().parts.into_keys().collect();
    // Two parts are on their way at once: the third begins when either of the first two is there.
    assert!(!done.is_empty() && !done.contains(&2), "{done:?}");
    storage.behave();
    let before = parts_asked(&storage).len();
    let again = put(&bucket, &name, &content, &notes).await;
    again.result.unwrap();
    assert_eq!(again.told, content.size, "what is there counts as well");
    assert_eq!(parts_asked(&storage).len() - before, 3 - done.len());
    let link = bucket.link(&name).await.unwrap();
    assert!(
        get(link.expose_secret()).await.1 == bytes,
        "the bytes are the same"
    );
}

#[tokio::test]
async fn a_part_of_other_bytes_is_sent_again_and_never_joined_with_the_rest() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, bytes) = recording();
    let (name, notes) = (name(), Notes::default());
    storage.deviate(|asked| {
        (asked.method == "POST" && asked.query.starts_with("uploadId"))
            .then_some(Deviation::Refuse(403, "AccessDenied"))
    });
    put(&bucket, &name, &content, &notes)
        .await
        .result
        .unwrap_err();
    storage.behave();
    let foreign = ContentHash([7; 32]);
    notes.0.lock().unwrap().parts.get_mut(&1).unwrap().hash = foreign;
    let before = parts_asked(&storage).len();
    put(&bucket, &name, &content, &notes).await.result.unwrap();
    assert_eq!(parts_asked(&storage)[before..].len(), 1);
    let link = bucket.link(&name).await.unwrap();
    assert!(
        get(link.expose_secret()).await.1 == bytes,
        "the bytes are the same"
    );
}

#[tokio::test]
async fn an_upload_that_the_storage_forgot_is_begun_anew() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, bytes) = recording();
    let (name, notes) = (name(), Notes::default());
    notes
        .begun("f4d2b1d6-0000-4000-8000-000000000000")
        .await
        .unwrap();
    storage.deviate(|asked| {
        asked
            .query
            .contains("f4d2b1d6-0000")
            .then_some(Deviation::Refuse(404, "NoSuchUpload"))
    });
    let put = put(&bucket, &name, &content, &notes).await;
    put.result.unwrap();
    assert_eq!(put.told, content.size);
    let link = bucket.link(&name).await.unwrap();
    assert!(
        get(link.expose_secret()).await.1 == bytes,
        "the bytes are the same"
    );
}

#[tokio::test]
async fn an_upload_whose_parts_the_storage_forgot_is_begun_anew() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, _) = recording();
    let (name, notes) = (name(), Notes::default());
    let mut completions = 0;
    storage.deviate(move |asked| {
        completions += u32::from(is_completion(asked));
        (is_completion(asked) && completions == 1).then_some(Deviation::Refuse(400, "InvalidPart"))
    });
    let first = put(&bucket, &name, &content, &notes).await.result;
    assert!(first.is_err(), "nothing was known of it before");
    put(&bucket, &name, &content, &notes).await.result.unwrap();
    assert_eq!(storage.objects().len(), 1);
}

fn is_completion(asked: &Asked) -> bool {
    asked.method == "POST" && asked.query.starts_with("uploadId")
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_found_and_not_repeated() {
    // As S3 says it, and as Azure does.
    for (status, code) in [(404, "NoSuchUpload"), (400, "InvalidBlockList")] {
        let storage = S3::start();
        let bucket = open(&settings(&storage));
        let (_folder, content, _) = recording();
        let (name, notes) = (name(), Notes::default());
        let mut completions = 0;
        storage.deviate(move |asked| {
            if !is_completion(asked) {
                return None;
            }
            completions += 1;
            Some(match completions {
                1 => Deviation::Forget,
                _ => Deviation::Refuse(status, code),
            })
        });
        put(&bucket, &name, &content, &notes).await.result.unwrap();
        assert!(notes.kept().finished, "{code}");
        assert_eq!(storage.objects().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn what_passes_is_tried_again_and_bytes_are_counted_once() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, _) = recording();
    let (name, notes) = (name(), Notes::default());
    let mut left = 3;
    storage.deviate(move |asked| {
        let refused = asked.part() == Some(2) && left > 0;
        left -= u32::from(refused);
        refused.then_some(Deviation::Refuse(503, "SlowDown"))
    });
    let put = put(&bucket, &name, &content, &notes).await;
    put.result.unwrap();
    assert_eq!(put.told, content.size);
    assert_eq!(parts_asked(&storage), [1, 2, 2, 2, 2, 3]);
}

#[tokio::test]
async fn what_never_passes_is_told_after_a_few_tries() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, _) = recording();
    storage.deviate(|_| Some(Deviation::Refuse(503, "SlowDown")));
    let put = put(&bucket, &name(), &content, &Notes::default()).await;
    let error = put.result.unwrap_err();
    assert!(
        matches!(&error, UploadError::Bucket(BucketError::Busy { .. })),
        "{error:?}"
    );
    assert_eq!(storage.asked().len(), 5);
}

#[tokio::test]
async fn a_recording_that_changed_is_not_completed() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, mut bytes) = recording();
    bytes[5] ^= 1;
    write(&content.path, &bytes, Existing::Replace).unwrap();
    let (name, notes) = (name(), Notes::default());
    let error = put(&bucket, &name, &content, &notes)
        .await
        .result
        .unwrap_err();
    assert!(matches!(error, UploadError::Changed), "{error:?}");
    assert_eq!(storage.objects(), []);
    bucket.remove(&notes.remains(&name)).await.unwrap();
    assert_eq!(storage.unfinished(), 0);
}

#[tokio::test]
async fn a_recording_that_is_touched_while_it_is_completed_is_noticed() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, bytes) = recording();
    let (name, notes) = (name(), Notes::default());
    let path = content.path.clone();
    storage.deviate(move |asked| {
        if asked.method == "POST" && asked.query.starts_with("uploadId") {
            write(&path, &bytes, Existing::Replace).unwrap();
        }
        None
    });
    let error = put(&bucket, &name, &content, &notes)
        .await
        .result
        .unwrap_err();
    assert!(matches!(error, UploadError::Changed), "{error:?}");
    bucket.remove(&notes.remains(&name)).await.unwrap();
    assert_eq!(storage.objects(), []);
}

#[tokio::test]
async fn a_recording_that_grows_is_sent_up_to_its_known_size_and_then_refused() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, mut content, bytes) = recording();
    content.size -= 1;
    content.hash = ContentHash(*blake3::hash(&bytes[..bytes.len() - 1]).as_bytes());
    let put = put(&bucket, &name(), &content, &Notes::default()).await;
    put.result.unwrap();
    assert_eq!(put.told, content.size);
}

#[tokio::test]
async fn a_recording_that_became_shorter_cannot_be_read_to_its_end() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, mut content, _) = recording();
    content.size += 1;
    let put = put(&bucket, &name(), &content, &Notes::default()).await;
    let Err(UploadError::Source(error)) = put.result else {
        panic!("it ends too early");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_stop_ends_an_upload_that_can_be_gone_on_with() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, _) = recording();
    let (name, notes) = (name(), Notes::default());
    let stop = CancellationToken::new();
    let on_second_part = stop.clone();
    storage.deviate(move |asked| {
        if asked.part() == Some(3) {
            on_second_part.cancel();
        }
        None
    });
    let stopped = put_until(&bucket, &name, &content, &notes, &stop).await;
    // The last part may have been quicker than the stop, but no byte is lost either way.
    assert!(matches!(stopped.result, Ok(_) | Err(UploadError::Stopped)));
    storage.behave();
    if stopped.result.is_err() {
        put(&bucket, &name, &content, &notes).await.result.unwrap();
    }
    assert_eq!(storage.objects().len(), 1);
}

#[tokio::test]
async fn a_stop_before_the_start_sends_nothing() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, _) = recording();
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = put_until(&bucket, &name(), &content, &Notes::default(), &stop).await;
    assert!(matches!(stopped.result, Err(UploadError::Stopped)));
    assert_eq!(storage.asked(), []);
}

#[tokio::test]
async fn what_was_begun_and_not_completed_is_taken_back() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, _) = recording();
    let (name, notes) = (name(), Notes::default());
    storage.deviate(|asked| {
        (asked.part() == Some(3)).then_some(Deviation::Refuse(403, "AccessDenied"))
    });
    put(&bucket, &name, &content, &notes)
        .await
        .result
        .unwrap_err();
    assert_ne!(storage.unfinished(), 0);
    storage.behave();
    bucket.remove(&notes.remains(&name)).await.unwrap();
    assert_eq!(storage.unfinished(), 0);
}

#[tokio::test]
async fn unfinished_uploads_are_listed_with_what_takes_them_back() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, _) = recording();
    let (name, notes) = (name(), Notes::default());
    storage.deviate(|asked| asked.part().map(|_| Deviation::Refuse(403, "AccessDenied")));
    put(&bucket, &name, &content, &notes)
        .await
        .result
        .unwrap_err();
    let id = notes.upload().unwrap().id;
    let listed = bucket.unfinished().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|one| (&one.name, &one.upload)).collect();
    assert_eq!(listed, [(&name, &id)]);
    bucket.take_back(&name, &id).await.unwrap();
    bucket.take_back(&name, &id).await.unwrap();
    assert_eq!(bucket.unfinished().await.unwrap(), []);
    assert_eq!(storage.unfinished(), 0);
}

#[tokio::test]
async fn credentials_that_are_wrong_are_refused() {
    let storage = S3::start();
    let wrong = Settings {
        secret: Some(Secret::Word(SecretString::from("wrong"))),
        ..settings(&storage)
    };
    let (_folder, content, _) = recording();
    let put = put(&open(&wrong), &name(), &content, &Notes::default()).await;
    let Err(UploadError::Bucket(error)) = put.result else {
        panic!("the signature is wrong");
    };
    assert!(matches!(error, BucketError::Refused(_)), "{error:?}");
    assert_eq!(error.fate(), Fate::Person);
}

#[tokio::test]
async fn credentials_come_from_the_variables_where_the_settings_have_none() {
    let storage = S3::start();
    let variables = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some(ACCESS_KEY.to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(SECRET_KEY.to_owned()),
        _ => None,
    };
    let from_variables = Settings {
        key_id: None,
        secret: None,
        variables: Box::new(variables),
        ..settings(&storage)
    };
    let bucket = open(&from_variables);
    let trial = bucket.try_out(&installation()).await.unwrap();
    trial.put.unwrap();
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named_as_such() {
    let storage = S3::start();
    // This storage makes a bucket of every name it hears.
    storage.deviate(|_| Some(Deviation::Refuse(404, "NoSuchBucket")));
    let bucket = open(&settings(&storage));
    let trial = bucket.try_out(&installation()).await.unwrap();
    let error = trial.put.unwrap_err();
    assert!(matches!(error, BucketError::NoSuchBucket(_)), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_names_the_region() {
    let storage = S3::start();
    storage.deviate(|_| {
        Some(Deviation::Redirect(
            301,
            "x-amz-bucket-region",
            "eu-central-1",
        ))
    });
    let trial = open(&settings(&storage))
        .try_out(&installation())
        .await
        .unwrap();
    let error = trial.put.unwrap_err();
    assert_eq!(
        error,
        BucketError::WrongRegion(Some("eu-central-1".to_owned()))
    );
}

#[tokio::test]
async fn a_storage_out_of_reach_means_offline_and_is_not_hammered() {
    let storage = S3::start();
    let settings = settings(&storage);
    drop(storage);
    let (_folder, content, _) = recording();
    let put = put(&open(&settings), &name(), &content, &Notes::default()).await;
    let Err(UploadError::Bucket(error)) = put.result else {
        panic!("nobody is there");
    };
    assert!(matches!(error, BucketError::Unreachable(_)), "{error:?}");
    assert_eq!(error.fate(), Fate::Offline);
    assert!(!error.to_string().contains("http"), "{error}");
}

#[tokio::test]
async fn a_trial_tells_a_missing_permission_to_delete_from_the_others() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let whole = bucket.try_out(&installation()).await.unwrap();
    assert!(matches!(
        (&whole.put, &whole.fetch, &whole.remove),
        (Ok(()), Some(Ok(())), Some(Ok(())))
    ));
    assert_eq!(storage.objects(), []);
    storage.deviate(|asked| {
        (asked.method == "DELETE").then_some(Deviation::Refuse(403, "AccessDenied"))
    });
    let trial = bucket.try_out(&installation()).await.unwrap();
    trial.put.unwrap();
    trial.fetch.unwrap().unwrap();
    let error = trial.remove.unwrap().unwrap_err();
    assert!(matches!(error, BucketError::Denied(_)), "{error:?}");
}

#[tokio::test]
async fn what_others_have_put_there_is_not_listed() {
    let storage = S3::start();
    let bucket = open(&settings(&storage));
    let (_folder, content, _) = recording();
    let (mine, notes) = (name(), Notes::default());
    put(&bucket, &mine, &content, &notes).await.result.unwrap();
    let path: PathBuf = storage.objects().remove(0).1;
    let theirs = path.with_file_name("holiday.mp3");
    write(&theirs, b"theirs", Existing::Keep).unwrap();
    let listed: Vec<ObjectName> = bucket
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(listed, [mine]);
}
