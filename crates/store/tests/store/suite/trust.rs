//! Documents, tokens, invites and pairings.

use landbridge_proto::machine::contract::MembershipRow;

use super::*;

suite! {
    documents_are_kept_and_never_replaced
    tokens_are_found_by_their_hash
    an_invite_is_used_once_and_loses_its_secret
    a_withdrawn_invite_is_of_no_use
    pairings_come_and_go
    memberships_are_replaced_by_later_ones_only
    old_federation_documents_go_and_the_newest_stays
    statuses_are_forgotten_but_for_the_newest_and_nothing_else_is
}

fn documents_are_kept_and_never_replaced(bench: &mut Bench) {
    let kind = DocumentKind::Root;
    let at = |version| Guard::DocumentAt { gateway: gateway(1), kind, version };
    assert!(bench.holds(at(None)) && !bench.holds(at(Some(1))));
    bench.write(vec![
        Write::SaveDocument(document(kind, 2)),
        Write::SaveDocument(document(kind, 10)),
        Write::SaveDocument(document(DocumentKind::Status, 99)),
    ]);
    assert!(bench.holds(at(Some(10))) && !bench.holds(at(Some(2))) && !bench.holds(at(None)));
    let newest = bench.reads.newest_document(&gateway(1), kind).unwrap();
    assert_eq!(newest, Some(document(kind, 10)));
    let all = bench.reads.documents(&gateway(1), kind).unwrap();
    assert_eq!(all, [document(kind, 2), document(kind, 10)]);
    assert_eq!(bench.reads.newest_document(&gateway(2), kind).unwrap(), None);

    let mut again = document(kind, 2);
    again.at = Timestamp(8);
    bench.write(vec![Write::SaveDocument(again.clone())]);
    assert_eq!(bench.reads.documents(&gateway(1), kind).unwrap()[0], document(kind, 2));
    again.envelope.push('x');
    bench.breaks(vec![Write::SaveDocument(again)], Broken::DocumentDiffers(2));
}

fn tokens_are_found_by_their_hash(bench: &mut Bench) {
    bench.write(vec![Write::PutToken(token(1)), Write::PutToken(token(2))]);
    assert_eq!(bench.reads.tokens().unwrap(), [token(2), token(1)], "oldest first");
    assert_eq!(bench.reads.token_of_hash(&digest(1)).unwrap(), Some(token(1)));
    assert_eq!(bench.reads.token_of_hash(&digest(3)).unwrap(), None);
    let mut revoked = token(1);
    revoked.revoked = Some(Timestamp(8));
    revoked.routes = vec![];
    bench.write(vec![Write::PutToken(revoked.clone())]);
    assert_eq!(bench.reads.token_of_hash(&digest(1)).unwrap(), Some(revoked));
    let mut thief = token(3);
    thief.hash = digest(1);
    bench.breaks(vec![Write::PutToken(thief)], Broken::TokenHashTaken("token-3".into()));
}

fn an_invite_is_used_once_and_loses_its_secret(bench: &mut Bench) {
    let unused = || Guard::InviteUnused { id: digest(1) };
    assert!(!bench.holds(unused()), "unknown");
    bench.write(vec![Write::CreateInvite(invite(1))]);
    assert_eq!(bench.reads.invite(&digest(1)).unwrap(), Some(invite(1)));
    bench.breaks(vec![Write::CreateInvite(invite(1))], Broken::InviteExists);
    let consume = || Write::UseInvite { id: digest(1), at: Timestamp(2), by: gateway(3) };
    assert_eq!(bench.one(vec![unused()], vec![consume()]), Outcome::Committed);
    assert_eq!(bench.one(vec![unused()], vec![consume()]), Outcome::Stale(unused()));
    let used = InviteRow {
        secret: String::new(),
        used: Some(Timestamp(2)),
        used_by: Some(gateway(3)),
        ..invite(1)
    };
    assert_eq!(bench.reads.invite(&digest(1)).unwrap(), Some(used));
    bench.breaks(vec![consume()], Broken::InviteNotOpen);
    bench.breaks(
        vec![Write::WithdrawInvite { id: digest(1), at: Timestamp(3) }],
        Broken::InviteNotOpen,
    );
}

fn a_withdrawn_invite_is_of_no_use(bench: &mut Bench) {
    bench.write(vec![Write::CreateInvite(invite(1)), Write::CreateInvite(invite(2))]);
    bench.write(vec![Write::WithdrawInvite { id: digest(2), at: Timestamp(9) }]);
    assert!(!bench.holds(Guard::InviteUnused { id: digest(2) }));
    assert!(bench.holds(Guard::InviteUnused { id: digest(1) }));
    let gone = InviteRow { secret: String::new(), withdrawn: Some(Timestamp(9)), ..invite(2) };
    let mut all = bench.reads.invites().unwrap();
    all.sort_by_key(|row| row.alias.to_string());
    assert_eq!(all, [invite(1), gone]);
    let consume = Write::UseInvite { id: digest(2), at: Timestamp(10), by: gateway(3) };
    bench.breaks(vec![consume], Broken::InviteNotOpen);
}

fn pairings_come_and_go(bench: &mut Bench) {
    bench.write(vec![Write::PutPairing(pairing(2)), Write::PutPairing(pairing(1))]);
    let mut changed = pairing(1);
    changed.words = "other words".into();
    bench.write(vec![Write::PutPairing(changed.clone())]);
    assert_eq!(bench.reads.pairings().unwrap(), [changed.clone(), pairing(2)]);
    bench.write(vec![Write::DropPairing { peer: gateway(2) }]);
    bench.write(vec![Write::DropPairing { peer: gateway(2) }]);
    assert_eq!(bench.reads.pairings().unwrap(), [changed]);
}

fn memberships_are_replaced_by_later_ones_only(bench: &mut Bench) {
    let row = |issued: i64, text: &str| MembershipRow {
        member: gateway(1),
        federation: "prod".parse().unwrap(),
        envelope: text.into(),
        issued: Timestamp(issued),
        at: Timestamp(9),
    };
    bench.write(vec![Write::PutMembership(row(5, "first"))]);
    bench.write(vec![Write::PutMembership(row(4, "older"))]);
    assert_eq!(bench.reads.memberships().unwrap(), [row(5, "first")]);
    bench.write(vec![Write::PutMembership(row(6, "later"))]);
    assert_eq!(bench.reads.memberships().unwrap(), [row(6, "later")]);
    bench.write(vec![Write::DropMembership { member: gateway(2) }]);
    bench.write(vec![Write::DropMembership { member: gateway(1) }]);
    assert_eq!(bench.reads.memberships().unwrap(), []);
}

fn old_federation_documents_go_and_the_newest_stays(bench: &mut Bench) {
    for kind in [DocumentKind::Federation, DocumentKind::Root] {
        for version in 1..=5 {
            bench.write(vec![Write::SaveDocument(document(kind, version))]);
        }
    }
    let versions = |bench: &Bench, kind| {
        let rows = bench.reads.documents(&gateway(1), kind).unwrap();
        rows.into_iter().map(|row| row.version).collect::<Vec<_>>()
    };
    let forget = |keep| Write::ForgetFederations { gateway: gateway(1), keep };
    bench.write(vec![forget(9)]);
    assert_eq!(versions(bench, DocumentKind::Federation), [1, 2, 3, 4, 5]);
    bench.write(vec![forget(2)]);
    assert_eq!(versions(bench, DocumentKind::Federation), [4, 5]);
    bench.write(vec![forget(0)]);
    assert_eq!(versions(bench, DocumentKind::Federation), [5]);
    assert_eq!(versions(bench, DocumentKind::Root), [1, 2, 3, 4, 5]);
}

fn statuses_are_forgotten_but_for_the_newest_and_nothing_else_is(bench: &mut Bench) {
    for kind in [DocumentKind::Status, DocumentKind::Root] {
        for version in 1..=4 {
            bench.write(vec![Write::SaveDocument(document(kind, version))]);
        }
    }
    let other = DocumentRow { gateway: gateway(2), ..document(DocumentKind::Status, 1) };
    bench.write(vec![Write::SaveDocument(other)]);
    let forget = |versions| Write::ForgetStatuses { gateway: gateway(1), versions };
    bench.write(vec![forget(vec![1, 3, 4, 7])]);
    bench.write(vec![forget(vec![1])]);
    let versions = |bench: &Bench, of, kind| {
        let rows = bench.reads.documents(&gateway(of), kind).unwrap();
        rows.into_iter().map(|row| row.version).collect::<Vec<_>>()
    };
    assert_eq!(versions(bench, 1, DocumentKind::Status), [2, 4]);
    assert_eq!(versions(bench, 1, DocumentKind::Root), [1, 2, 3, 4]);
    assert_eq!(versions(bench, 2, DocumentKind::Status), [1]);
}
