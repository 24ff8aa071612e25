//! Uploads that were begun and neither completed nor taken back, as the storage itself lists them.
//!
//! The answer is that of S3's `ListMultipartUploads`, which Google's XML API gives as well. It is asked for by a
//! signed link, since the crate that speaks to storages does not ask for it.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>.

use jiff::Timestamp;
use object_store::path::Path;
use object_store::signer::SignedUrlOptions;
use reqwest::Method;
use serde::Deserialize;

use super::wire;
use super::{Bucket, BucketError, MOST_LISTED, OWN_LINK};
use crate::domain::object::ObjectName;

/// The most that one page of a listing holds, in bytes: a thousand uploads with long names.
const PAGE_LIMIT: usize = 4 << 20;
/// The most pages that are asked for; each holds a thousand at the most.
const MOST_PAGES: usize = MOST_LISTED / 1000;

/// An upload that was begun under a name of stenod's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The object that it was to become.
    pub name: ObjectName,
    /// What the storage calls the upload.
    pub upload: String,
    /// When it was begun, by the storage's clock.
    pub began: Timestamp,
}

/// One page of the storage's answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
    #[serde(default, rename = "Upload")]
    uploads: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    upload_id: String,
    initiated: Timestamp,
}

impl Bucket {
    /// The unfinished uploads under the prefix that a stenod began; none where the storage keeps no list of them.
    ///
    /// # Errors
    /// [`BucketError`] of the listing.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, BucketError> {
        let mut found = Vec::new();
        let (mut key, mut upload) = (String::new(), String::new());
        for _ in 0..MOST_PAGES {
            if !self.store.lists_uploads {
                break;
            }
            let page = self.page(&key, &upload).await?;
            let uploads = page.uploads.into_iter();
            found.extend(uploads.filter_map(|listed| self.own(listed)));
            if !page.is_truncated || page.next_key_marker.is_empty() {
                break;
            }
            (key, upload) = (page.next_key_marker, page.next_upload_id_marker);
        }
        Ok(found)
    }

    /// The page after the upload at which the last one ended.
    async fn page(&self, key: &str, upload: &str) -> Result<Page, BucketError> {
        let mut query = vec![("uploads", "")];
        let prefix = self.store.prefix.as_ref();
        query.extend(Some(("prefix", prefix)).filter(|_| !prefix.is_empty()));
        query.extend(Some(("key-marker", key)).filter(|_| !key.is_empty()));
        query.extend(Some(("upload-id-marker", upload)).filter(|_| !upload.is_empty()));
        let options = SignedUrlOptions::new().with_query(query);
        let whole = Path::default();
        let signer = &self.store.signer;
        let signed = signer.signed_url_opts(Method::GET, &whole, OWN_LINK, &options);
        let url = signed
            .await
            .map_err(|error| BucketError::of_store(&error))?;
        let answer = wire::plain_request(&self.store.client, Method::GET, url, PAGE_LIMIT).await?;
        quick_xml::de::from_reader(answer.as_slice())
            .map_err(|error| BucketError::Unreadable(format!("a list of uploads: {error}")))
    }

    fn own(&self, listed: Listed) -> Option<Unfinished> {
        let name = listed.key.rsplit('/').next().and_then(ObjectName::parse)?;
        (self.path(&name).as_ref() == listed.key).then_some(Unfinished {
            name,
            upload: listed.upload_id,
            began: listed.initiated,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_with_and_without_uploads() {
        let empty = "<ListMultipartUploadsResult><Bucket>b</Bucket><IsTruncated>false</IsTruncated>\
                     </ListMultipartUploadsResult>";
        let page: Page = quick_xml::de::from_str(empty).unwrap();
        assert!(page.uploads.is_empty() && !page.is_truncated);
        let two = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
              <Bucket>b</Bucket><KeyMarker/><UploadIdMarker/><NextKeyMarker>p/y</NextKeyMarker>
              <NextUploadIdMarker>2</NextUploadIdMarker><MaxUploads>1000</MaxUploads>
              <IsTruncated>true</IsTruncated>
              <Upload><Key>p/x</Key><UploadId>1</UploadId><Initiator><ID>i</ID></Initiator>
                <StorageClass>STANDARD</StorageClass><Initiated>2010-11-10T20:48:33.000Z</Initiated></Upload>
              <Upload><Key>p/y</Key><UploadId>2</UploadId><Initiated>2010-11-10T20:48:34.000Z</Initiated></Upload>
              <CommonPrefixes><Prefix>q/</Prefix></CommonPrefixes>
            </ListMultipartUploadsResult>"#;
        let page: Page = quick_xml::de::from_str(two).unwrap();
        let uploads: Vec<_> = page
            .uploads
            .iter()
            .map(|one| one.upload_id.as_str())
            .collect();
        assert_eq!(uploads, ["1", "2"]);
        assert!(page.is_truncated);
        assert_eq!(
            (
                page.next_key_marker.as_str(),
                page.next_upload_id_marker.as_str()
            ),
            ("p/y", "2")
        );
    }
}
