//! The versions of our federation document that are kept, each judged by the root of its time.

use landbridge_proto::machine::contract::{DocumentKind, DocumentRow};
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::trust::federation::bundle::open_recorded;
use landbridge_proto::trust::federation::difference::Difference;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::problem::{Code, Problem};

use super::Bridge;
use super::views::instant;
use crate::core::unreadable;
use crate::local::api::{FederationVersionView, FederationView};

impl Bridge {
    /// The kept versions of our federation document, oldest first.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn federation_versions(&self) -> Result<Vec<FederationVersionView>, Problem> {
        let mut views = Vec::new();
        let mut before: Option<TrustedFederation> = None;
        for row in self.federation_rows()? {
            let opened = self.opened(&row);
            let document = opened.as_ref().map(TrustedFederation::document);
            let from = before.as_ref().map(TrustedFederation::document);
            let change = document.map(|document| Difference::between(from, document).summary());
            views.push(FederationVersionView {
                version: row.version,
                in_force_since: instant(row.at),
                verifies: opened.is_some(),
                digest: opened.as_ref().map(|known| known.verified().digest()),
                issued: document.map(|document| instant(document.issued)),
                signers: opened
                    .iter()
                    .flat_map(|known| known.verified().signers().cloned())
                    .collect(),
                change,
            });
            before = opened.or(before);
        }
        Ok(views)
    }

    /// One kept version of our federation document, as it is stored.
    ///
    /// # Errors
    ///
    /// `not_found`, or a problem when the store cannot be read.
    pub async fn federation_version(&self, version: u64) -> Result<FederationView, Problem> {
        let row = self.federation_rows()?.into_iter().find(|row| row.version == version);
        let row =
            row.ok_or_else(|| Problem::new(Code::NotFound).with_detail("no such version is kept"))?;
        Ok(FederationView { version, envelope: Some(row.envelope), told: Vec::new() })
    }

    fn federation_rows(&self) -> Result<Vec<DocumentRow>, Problem> {
        let reads = self.core.store.reads();
        let rows = reads.documents(self.core.own(), DocumentKind::Federation);
        rows.map_err(|fault| unreadable(&fault))
    }

    /// `None` for a row that was edited: the list says so, and goes on.
    fn opened(&self, row: &DocumentRow) -> Option<TrustedFederation> {
        let envelope = Envelope::parse(row.envelope.as_bytes()).ok()?;
        let known = open_recorded(&envelope, self.core.identity.present().root()).ok()?;
        (known.document().version == row.version).then_some(known)
    }
}
