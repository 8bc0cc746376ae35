//! Observations over years: roll-ups against a naive recomputation, what retention keeps, and months.

use std::collections::BTreeMap;

use crate::common::{Street, street};
use chrono::TimeDelta;
use chrono_tz::Tz;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use futures_util::future::join_all;
use songhe_adapter_core::{EventKind, Measure};
use songhe_devices::DeviceId;
use songhe_devices::history::partitions::{self, Month};
use songhe_devices::history::retention::{self, Keep, Step};
use songhe_devices::history::{catch_up, prepare};
use songhe_devices::schema::{observation, observation_day, observation_hour};
use songhe_kernel::{Db, FacilityId, Moment};
use songhe_testkit::{Kind, MIGRATED, TestDb, both_databases};

pub(crate) const NEW_YORK: Tz = chrono_tz::America::New_York;
const KOLKATA: Tz = chrono_tz::Asia::Kolkata;
const KEEP: Keep =
    Keep { readings_days: 400, events_days: 1_100, emergencies_days: 3_660, hourly_days: 1_100, daily_days: 3_660 };

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) device: DeviceId,
    pub(crate) facility: FacilityId,
    pub(crate) kind: &'static str,
    pub(crate) micro: Option<i64>,
    pub(crate) active: Option<bool>,
    pub(crate) quality: &'static str,
    pub(crate) at: Moment,
}

pub(crate) async fn tell(street: &Street, rows: Vec<Told>) {
    street
        .db
        .write(move |tx| {
            for row in &rows {
                let id = tx.next_id();
                let now = tx.now();
                diesel::insert_into(observation::table)
                    .values((
                        observation::id.eq(id),
                        observation::device_id.eq(row.device.0),
                        observation::facility_id.eq(row.facility.0),
                        observation::kind.eq(row.kind),
                        observation::value_micro.eq(row.micro),
                        observation::active.eq(row.active),
                        observation::quality.eq(row.quality),
                        observation::historical.eq(false),
                        observation::message_id.eq(id.to_string()),
                        observation::observed_at.eq(row.at),
                        observation::received_at.eq(now),
                    ))
                    .execute(tx.db())?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

/// Anything from either house within some days around a moment.
pub(crate) fn anything(street: &Street, dice: &mut Dice, around: Moment, days: u64) -> Told {
    let (device, facility) = match dice.below(3) {
        0 => (street.here.cord, street.here.facility),
        1 => (street.here.sensor, street.here.facility),
        _ => (street.elsewhere.sensor, street.elsewhere.facility),
    };
    let seconds = i64::try_from(dice.below(days * 86_400)).unwrap() - i64::try_from(days).unwrap() * 43_200;
    let at = around.plus_seconds(seconds);
    let micro = i64::try_from(dice.below(200_000_000)).unwrap() - 50_000_000;
    let reading = |kind, quality, micro| Told { device, facility, kind, micro, active: None, quality, at };
    match dice.below(8) {
        0 => Told { active: Some(true), ..reading("door_open", "good", None) },
        1 => Told { active: Some(false), ..reading("door_open", "good", None) },
        2 => reading("heart_rate", "implausible", Some(micro)),
        3 => reading("heart_rate", "no_reading", None),
        4 => reading("room_temperature", "good", Some(micro)),
        _ => reading("heart_rate", "good", Some(micro)),
    }
}

pub(crate) async fn move_to(street: &Street, facility: FacilityId, zone: Tz) {
    let sql = format!("UPDATE facility SET zone = '{}' WHERE id = {}", zone.name(), facility.0);
    street.db.write(move |tx| Ok(tx.db().batch_execute(&sql)?)).await.unwrap();
}

/// n, other, events, sum, least, greatest, newest.
type Figures = (i64, i64, i64, i64, Option<i64>, Option<i64>, Option<i64>);
type Rolled = BTreeMap<(i64, String, String), Figures>;

/// As a person would count it who has all rows and a calendar.
async fn recomputed(street: &Street, format: &'static str) -> Rolled {
    type Row = (i64, i64, String, Option<i64>, Option<bool>, String, Moment);
    let rows: Vec<Row> = street
        .db
        .read(|db| {
            Ok(observation::table
                .order(observation::seq.asc())
                .select((
                    observation::device_id,
                    observation::facility_id,
                    observation::kind,
                    observation::value_micro,
                    observation::active,
                    observation::quality,
                    observation::observed_at,
                ))
                .load(db)?)
        })
        .await
        .unwrap();
    let mut sets: BTreeMap<(i64, String, String), Vec<Row>> = BTreeMap::new();
    for row in rows {
        let zone = if row.1 == street.here.facility.0 { NEW_YORK } else { KOLKATA };
        let label = row.6.in_zone(zone).format(format).to_string();
        sets.entry((row.0, row.2.clone(), label)).or_default().push(row);
    }
    let figures = |rows: &Vec<Row>| {
        let good: Vec<&Row> = rows.iter().filter(|row| row.4.is_none() && row.5 == "good" && row.3.is_some()).collect();
        let events = rows.iter().filter(|row| row.4 == Some(true)).count();
        let other = rows.iter().filter(|row| row.4.is_none()).count() - good.len();
        let values = || good.iter().map(|row| row.3.unwrap());
        // Of one moment, the last to arrive: max_by_key answers the last.
        let last = good.iter().max_by_key(|row| row.6).and_then(|row| row.3);
        let count = |n: usize| i64::try_from(n).unwrap();
        let figures =
            (count(good.len()), count(other), count(events), values().sum(), values().min(), values().max(), last);
        (good.len() + other + events > 0).then_some(figures)
    };
    sets.iter().filter_map(|(key, rows)| Some((key.clone(), figures(rows)?))).collect()
}

macro_rules! stored {
    ($street:expr, $table:ident, $format:expr) => {{
        type Row = (i64, String, Moment, (i64, i64, i64, f64, Option<i64>, Option<i64>, Option<i64>));
        let rows: Vec<Row> = $street
            .db
            .read(|db| {
                Ok($table::table
                    .select((
                        $table::device_id,
                        $table::kind,
                        $table::starts_at,
                        (
                            $table::n,
                            $table::other,
                            $table::events,
                            $table::sum_micro,
                            $table::min_micro,
                            $table::max_micro,
                            $table::last_micro,
                        ),
                    ))
                    .load(db)?)
            })
            .await
            .unwrap();
        let there = rows.len();
        let all: Rolled = rows
            .into_iter()
            .map(|(device, kind, starts_at, (n, other, events, sum, min, max, last))| {
                let zone = if device == $street.elsewhere.sensor.0 { KOLKATA } else { NEW_YORK };
                let local = starts_at.in_zone(zone);
                assert!(local.format("%M%S%.f").to_string() == "0000", "{local}");
                ((device, kind, local.format($format).to_string()), (n, other, events, sum as i64, min, max, last))
            })
            .collect();
        assert_eq!(all.len(), there, "two rows of one hour or day");
        all
    }};
}

const HOUR: &str = "%Y-%m-%d %H %z";
const DAY: &str = "%Y-%m-%d";

both_databases! {
    from MIGRATED;

    async fn roll_ups_are_what_a_recomputation_says_whatever_comes_late(test: TestDb) {
        let street = street(&test).await;
        move_to(&street, street.here.facility, NEW_YORK).await;
        move_to(&street, street.elsewhere.facility, KOLKATA).await;
        let mut dice = Dice(7);
        // Both changes of summer time, and the days around.
        for (round, around) in
            ["2026-03-08T12:00:00Z", "2026-11-01T12:00:00Z", "2026-03-08T06:59:00Z"].into_iter().cycle().take(12).enumerate()
        {
            let days = if round % 4 == 3 { 300 } else { 3 };
            let rows = (0..60).map(|_| anything(&street, &mut dice, around.parse().unwrap(), days)).collect();
            tell(&street, rows).await;
            if round % 2 == 0 {
                catch_up(&street.db).await.unwrap();
            }
        }
        catch_up(&street.db).await.unwrap();
        let (hours, days) = (stored!(street, observation_hour, HOUR), stored!(street, observation_day, DAY));
        assert_eq!(hours, recomputed(&street, HOUR).await);
        assert_eq!(days, recomputed(&street, DAY).await);
        // Again, also in a new process, changes nothing.
        catch_up(&street.db).await.unwrap();
        let street = street.restart().await;
        catch_up(&street.db).await.unwrap();
        assert_eq!(stored!(street, observation_hour, HOUR), hours);
        assert_eq!(stored!(street, observation_day, DAY), days);
    }

    async fn servers_that_roll_up_at_once_count_each_row_once(test: TestDb) {
        let street = street(&test).await;
        move_to(&street, street.here.facility, NEW_YORK).await;
        move_to(&street, street.elsewhere.facility, KOLKATA).await;
        let mut dice = Dice(11);
        for _ in 0..4 {
            let around = "2026-11-01T12:00:00Z".parse().unwrap();
            tell(&street, (0..400).map(|_| anything(&street, &mut dice, around, 400)).collect()).await;
            for done in join_all([catch_up(&street.db), catch_up(&street.db), catch_up(&street.db)]).await {
                done.unwrap();
            }
        }
        assert_eq!(stored!(street, observation_hour, HOUR), recomputed(&street, HOUR).await);
        assert_eq!(stored!(street, observation_day, DAY), recomputed(&street, DAY).await);
    }

    async fn what_has_had_its_time_goes_by_kind_and_nothing_else_does(test: TestDb) {
        retention_by_kind(test).await;
    }

    async fn months_are_made_ahead_and_what_lies_outside_is_kept_all_the_same(test: TestDb) {
        months(test).await;
    }
}

/// A reading, a door and a call, all told `days` days ago.
async fn told_before(street: &Street, days: i64) {
    street.clock.step(TimeDelta::days(-days));
    street.accept(street.reading("SH-1", &format!("r-{days}"), Measure::HeartRate, "72")).await;
    street.accept(street.told("SH-1", &format!("d-{days}"), EventKind::DoorOpen, true, 0)).await;
    street.accept(street.sos("SH-1", &format!("s-{days}"))).await;
    street.clock.step(TimeDelta::days(days));
}

fn call_at(street: &Street, at: Moment) -> Told {
    let (device, facility) = (street.here.cord, street.here.facility);
    Told { device, facility, kind: "sos", micro: None, active: Some(true), quality: "good", at }
}

/// Kind and age in days of everything that is there.
async fn left(street: &Street) -> Vec<(String, i64)> {
    let now = street.now();
    let rows: Vec<(String, Moment)> = street
        .db
        .read(|db| {
            Ok(observation::table
                .order((observation::observed_at.asc(), observation::kind.asc()))
                .select((observation::kind, observation::observed_at))
                .load(db)?)
        })
        .await
        .unwrap();
    rows.into_iter().map(|(kind, at)| (kind, now.since(at).num_days())).collect()
}

async fn remove_all(street: &Street) -> u64 {
    let mut gone = 0;
    while let Step::Removed(rows) = retention::step(&street.db, &KEEP).await.unwrap() {
        assert!((1..=500).contains(&rows), "a slice of {rows}");
        gone += rows;
    }
    gone
}

async fn retention_by_kind(test: TestDb) {
    let street = street(&test).await;
    let now = street.now();
    let month = |days: i64| Month::of(now.plus(TimeDelta::days(-days)));
    for days in [500, 1_200, 3_700] {
        partitions::make(&street.db, month(days), month(days)).await.unwrap();
    }
    // Months of their own on PostgreSQL; the others lie in the default partition.
    for days in [3_701, 3_702 + 40, 1_200, 1_250, 500, 550, 10] {
        told_before(&street, days).await;
    }
    // A device's clock is eleven years slow: the call came today.
    let slow = now.plus(TimeDelta::days(-4_000));
    tell(&street, vec![call_at(&street, slow)]).await;
    let before = left(&street).await;
    assert_eq!(before.len(), 22);
    assert_eq!(remove_all(&street).await, 0, "what no roll-up has seen stays");
    catch_up(&street.db).await.unwrap();
    assert!(matches!(retention::step(&street.db, &KEEP).await.unwrap(), Step::Removed(1..)));
    let street = street.restart().await;
    remove_all(&street).await;
    let kept = |kind: &str, days| (kind.to_owned(), days);
    let mut expected = vec![kept("sos", 4_000)];
    for days in [1_250, 1_200] {
        expected.push(kept("sos", days));
    }
    for days in [550, 500] {
        expected.extend([kept("door_open", days), kept("sos", days)]);
    }
    expected.extend([kept("door_open", 10), kept("heart_rate", 10), kept("sos", 10)]);
    assert_eq!(left(&street).await, expected);
    let ages = |moments: Vec<Moment>| moments.into_iter().map(|at| now.since(at).num_days()).collect::<Vec<_>>();
    let hours = street
        .db
        .read(|db| {
            use observation_hour::{kind, starts_at, table};
            Ok(table.filter(kind.eq("heart_rate")).order(starts_at.asc()).select(starts_at).load(db)?)
        })
        .await
        .unwrap();
    assert_eq!(ages(hours), [550, 500, 10], "hours outlive their readings");
    let days = street
        .db
        .read(|db| {
            use observation_day::{kind, starts_at, table};
            Ok(table.filter(kind.eq("heart_rate")).order(starts_at.asc()).select(starts_at).load(db)?)
        })
        .await
        .unwrap();
    assert_eq!(ages(days), [1_250, 1_200, 550, 500, 10]);
    if test.kind() == Kind::Postgres {
        let there = street.db.read(partitions::months).await.unwrap();
        assert_eq!(there, [month(1_200), month(500)], "the month that is past everything is gone");
        assert_eq!(tables(&street, "observation_%_old").await, Vec::<String>::new());
    }
    catch_up(&street.db).await.unwrap();
    assert_eq!(remove_all(&street).await, 0);
}

async fn tables(street: &Street, like: &'static str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Table {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    let sql = format!("SELECT tablename::text AS name FROM pg_tables WHERE tablename LIKE '{like}' ORDER BY 1");
    let read = move |db: &mut Db| match db {
        Db::Pg(conn) => Ok(diesel::sql_query(sql).load::<Table>(conn)?),
        Db::Sqlite(_) => Ok(Vec::new()),
    };
    street.db.read(read).await.unwrap().into_iter().map(|table| table.name).collect()
}

/// In which table each row lies, oldest first.
async fn places(street: &Street) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Place {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    let read = |db: &mut Db| match db {
        Db::Pg(conn) => {
            let sql = "SELECT tableoid::regclass::text AS name FROM observation ORDER BY observed_at";
            Ok(diesel::sql_query(sql).load::<Place>(conn)?)
        }
        Db::Sqlite(_) => Ok(Vec::new()),
    };
    street.db.read(read).await.unwrap().into_iter().map(|place| place.name).collect()
}

async fn months(test: TestDb) {
    let street = street(&test).await;
    prepare(&street.db).await.unwrap();
    street.accept(street.reading("SH-1", "1", Measure::HeartRate, "72")).await;
    // Clocks that are wrong: years back, and three months ahead.
    let slow = street.now().plus(TimeDelta::days(-9 * 365));
    tell(&street, vec![call_at(&street, slow)]).await;
    let ahead = Told {
        device: street.here.cord,
        facility: street.here.facility,
        kind: "heart_rate",
        micro: Some(80_000_000),
        active: None,
        quality: "good",
        at: street.now().plus(TimeDelta::days(100)),
    };
    tell(&street, vec![ahead]).await;
    let all = left(&street).await;
    assert_eq!(all.len(), 3);
    if test.kind() == Kind::Sqlite {
        assert_eq!(street.db.read(partitions::months).await.unwrap(), []);
        return;
    }
    let names = |months: Vec<Month>| months.into_iter().map(Month::table).collect::<Vec<_>>();
    let there = names(street.db.read(partitions::months).await.unwrap());
    assert_eq!(there, ["observation_2026_10", "observation_2026_11", "observation_2026_12", "observation_2027_01"]);
    assert_eq!(places(&street).await, ["observation_default", "observation_2026_11", "observation_default"]);
    // A month passes: the next one is made, with what waited for it.
    street.clock.step(TimeDelta::days(40));
    prepare(&street.db).await.unwrap();
    prepare(&street.db).await.unwrap();
    let there = names(street.db.read(partitions::months).await.unwrap());
    assert_eq!(there.last().map(String::as_str), Some("observation_2027_03"));
    assert_eq!(places(&street).await, ["observation_default", "observation_2026_11", "observation_2027_03"]);
    street.clock.step(TimeDelta::days(-40));
    assert_eq!(left(&street).await, all);
}
