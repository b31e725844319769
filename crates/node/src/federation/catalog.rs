//! What our operators may decide, told to a peer that asks.

use http::Response;
use landbridge_planted::planted;
use landbridge_proto::machine::admission::Admitted;
use landbridge_proto::wire::problem::{Code, Problem};

use super::{Federation, one_envelope};
use crate::catalogs;
use crate::net::ResponseBody;

impl Federation {
    /// Answers with our newest catalog of the tenant that is asked.
    //= APR-2
    pub(super) async fn catalog(
        &self,
        admitted: &Admitted,
    ) -> Result<Response<ResponseBody>, Problem> {
        let said = admitted.request().value();
        // Whoever once had a grant may still ask after its runs, and for nothing else.
        if admitted.grant().is_none() && !planted!("catalog_ungranted") {
            let detail = format!("no grant for {} to {}", said.tenant.src, said.tenant.dst);
            return Err(Problem::new(Code::NotGranted).with_detail(detail));
        }
        self.accept_jti(admitted, "catalog_read").await?;
        match catalogs::present(&self.core, &said.tenant.dst).await {
            Ok(Some(kept)) => Ok(one_envelope(200, &kept.envelope)),
            Ok(None) => {
                let detail = format!("no scopes of {} are published", said.tenant.dst);
                Err(Problem::new(Code::NotFound).with_detail(detail))
            }
            Err(error) => {
                tracing::error!(%error, "our catalog cannot be told");
                Err(error.problem())
            }
        }
    }
}
