//! Tries the bucket out: a put, a fetch by link, a delete.

use std::time::Duration;

use super::Check;
use super::judge::Written;
use crate::config::{self, Config};
use crate::delivery::bucket::BucketError;
use crate::domain::object::Installation;
use crate::queue::Reader;
use crate::session::{self, SetupError};

/// How long the storage may take for a trial.
const BUCKET_LIMIT: Duration = Duration::from_secs(10);

/// Puts an object into the bucket, fetches it by its link, and deletes it.
pub(super) async fn checks(config: &Config, settings: &config::Bucket) -> Vec<Check> {
    let name = "bucket";
    let bucket = match session::bucket(config) {
        Ok(Some(bucket)) => bucket,
        Ok(None) => return Vec::new(),
        Err(error) => {
            let what = if let SetupError::Bucket(error) = &error {
                error.hint()
            } else {
                "every key of it has to be right"
            };
            let text = format!("{:#}", anyhow::Error::new(error));
            let mend = Written::in_file(config).instead("bucket", what);
            return vec![Check::problem(name, text, mend)];
        }
    };
    let nobody = Installation::nobody();
    let trial = bucket.try_out(&nobody);
    let trial = match tokio::time::timeout(BUCKET_LIMIT, trial).await {
        Ok(Ok(trial)) => trial,
        Ok(Err(error)) => {
            let text = format!("no name for an object can be made: {error}");
            return vec![Check::problem(name, text, "look at /dev/urandom")];
        }
        Err(_) => {
            let text = format!(
                "{} did not answer within {} s",
                settings.url,
                BUCKET_LIMIT.as_secs()
            );
            let mend = unreached(config, settings);
            return vec![Check::problem(name, text, mend)];
        }
    };
    let steps = [
        ("writing an object", Some(trial.put)),
        ("fetching it by a link", trial.fetch),
        ("deleting it", trial.remove),
    ];
    let mut checks: Vec<Check> = steps
        .into_iter()
        .filter_map(|(what, result)| Some((what, result?.err()?)))
        .map(|(what, error)| {
            let text = format!("{}: {what}: {error}", settings.url);
            let mend = if matches!(error, BucketError::Unreachable(_)) {
                unreached(config, settings)
            } else {
                Written::in_file(config).instead("bucket", error.mend())
            };
            Check::problem(name, text, mend)
        })
        .collect();
    if checks.is_empty() {
        let text = format!("{} can be written, fetched and deleted", settings.url);
        checks.push(Check::ok(name, text));
    }
    checks
}

/// What to look at where the storage does not answer.
fn unreached(config: &Config, settings: &config::Bucket) -> String {
    match &settings.endpoint {
        Some(endpoint) => {
            let line = format!("endpoint = \"{endpoint}\": is it right, and the connection there?");
            Written::of(config, "bucket.endpoint").instead("bucket", &line)
        }
        None => Written::in_file(config).instead(
            "bucket",
            "endpoint = \"https://…\", where the storage is not the one that the url stands for",
        ),
    }
}

/// What could not be taken out of a bucket so far.
pub(super) fn leftovers(config: &Config) -> Option<Check> {
    let bucket = config.bucket.as_ref().map(config::Bucket::place);
    // A table that cannot be read is told by its own check.
    let reader = Reader::open(&config.state_dir).ok()??;
    let leftovers = reader.leftovers(bucket.as_deref(), false).ok()?;
    let first = leftovers.first()?;
    let text = format!(
        "{} not taken out of {} so far: {}",
        leftovers.len(),
        first.bucket,
        first.trouble
    );
    let mend = "allow deleting there, and put that bucket back into the configuration if it is another; \
        stenod tries again by itself";
    Some(Check::note("bucket", text, mend))
}
