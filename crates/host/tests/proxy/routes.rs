//! Who answers: weights, changes, restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use host::proxy::{Bound, ClientError, Config, Error, RemoveAnswer, RouteAnswer, Synthetic, run};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::world::{Instance, Proxy, eventually, free_port, request, tallied, text, within};

#[tokio::test]
async fn weights_are_exact() {
    let proxy = Proxy::start().await;
    let (old, new) = (Instance::named("old").await, Instance::named("new").await);
    for (generation, share) in [(1, 1_000), (2, 100), (3, 2_500)] {
        proxy.put(generation, &[("old", 10_000 - share, &[old.address]), ("new", share, &[new.address])]).await;
        let (mut first, mut second, mut answers) = (proxy.connect().await, proxy.connect().await, Vec::new());
        for _ in 0..100 {
            answers.push(first.get("/").await.1);
            answers.push(second.get("/").await.1);
        }
        let share = share as usize / 50;
        assert_eq!(tallied(answers), [("new".to_owned(), share), ("old".to_owned(), 200 - share)].into());
    }
    let stats = proxy.stats().await;
    assert_eq!(stats.counts["new"].users.requests, 20 + 2 + 50);
    assert_eq!(stats.counts["new"].users.latency.count(), 72);
    assert_eq!(stats.weights["new"], 2_500);
}

#[tokio::test]
async fn without_any_weight_it_says_so() {
    let proxy = Proxy::start().await;
    proxy.put(1, &[("old", 0, &[])]).await;
    let answer = proxy.get("/").await;
    let sentence = "plimsoll: no revision takes traffic here at the moment (all weights are 0)\n";
    assert_eq!(answer, (StatusCode::SERVICE_UNAVAILABLE, sentence.to_owned()));
    assert_eq!((proxy.stats().await.unrouted, proxy.users("old").await.requests), (1, 0));
}

#[tokio::test]
async fn a_revision_is_chosen_and_named_on_request_only() {
    let proxy = Proxy::start().await;
    let (old, new) = (Instance::named("old").await, Instance::named("new").await);
    proxy.put(1, &[("old", 10_000, &[old.address]), ("new", 0, &[new.address])]).await;
    let mut connection = proxy.connect().await;
    for (wish, status, named) in
        [(None, 200, None), (Some("?"), 200, Some("old")), (Some("new"), 200, Some("new")), (Some("other"), 404, None)]
    {
        let wish: Vec<_> = wish.map(|it| ("x-plimsoll-revision", it)).into_iter().collect();
        let answer = connection.begin(request("GET", "/", &wish)).await;
        let found = answer.headers().get("x-plimsoll-revision").map(|it| it.to_str().expect("text").to_owned());
        assert_eq!((answer.status().as_u16(), found.as_deref()), (status, named), "{wish:?}");
    }
    assert_eq!((old.requests.load(SeqCst), new.requests.load(SeqCst)), (2, 1));

    let lost = connection.begin(request("GET", "/", &[("host", "0123456789ab.shop.localhost")])).await;
    assert_eq!(lost.status().as_u16(), 404, "a revision that is not there is not another one");
    for (host, named) in [
        ("new.shop.localhost:80", Some("new")),
        ("old.shop.localhost", Some("old")),
        ("shop.localhost", None),
        ("tenant.shop.localhost", None),
        ("0123456789ab", None),
    ] {
        let answer = connection.begin(request("GET", "/", &[("host", host)])).await;
        let found = answer.headers().get("x-plimsoll-revision").map(|it| it.to_str().expect("text").to_owned());
        assert_eq!((answer.status().as_u16(), found.as_deref()), (200, named), "{host}");
    }
    assert_eq!(old.requests.load(SeqCst) + new.requests.load(SeqCst), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_under_load_fail_no_request() {
    let proxy = Arc::new(Proxy::start().await);
    let mut instances = vec![Instance::named("a").await];
    proxy.put(1, &[("a", 10_000, &[instances[0].address])]).await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|index| {
            let (proxy, stop, served) = (Arc::clone(&proxy), Arc::clone(&stop), Arc::clone(&served));
            tokio::spawn(async move {
                let mut connection = proxy.connect().await;
                while !stop.load(SeqCst) {
                    let (status, body) = match index % 2 {
                        0 => connection.get("/").await,
                        _ => connection.send(request("POST", "/", &[])).await,
                    };
                    assert_eq!(status, StatusCode::OK, "{body}");
                    served.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    let mut generation = 1;
    while served.load(SeqCst) < 20_000 {
        let next = Instance::named(["a", "b"][generation as usize % 2]).await;
        let last = &instances[instances.len() - 1];
        let (old, new) = (&[last.address][..], &[next.address][..]);
        for share in [0, 1_000, 5_000, 9_999] {
            generation += 1;
            proxy.put(generation, &[("old", 10_000 - share, old), ("new", share, new)]).await;
        }
        generation += 1;
        proxy.put(generation, &[("new", 10_000, new)]).await;
        // From here on nobody else answers: an applied route is in force for whatever comes after it.
        let before = last.requests.load(SeqCst);
        eventually(async || (proxy.stats().await.counts["old"].in_flight == 0).then_some(())).await;
        let after = last.requests.load(SeqCst);
        assert!(after - before <= 8, "{} requests went to the old instance after the change", after - before);
        instances.push(next);
    }
    stop.store(true, SeqCst);
    for client in clients {
        client.await.expect("no request failed");
    }
    let stats = proxy.stats().await;
    let bad: u64 = stats.counts.values().map(|it| it.users.bad + it.users.aborted).sum();
    let counted: u64 = stats.counts.values().map(|it| it.users.requests).sum();
    assert_eq!((bad, counted), (0, served.load(SeqCst) as u64));
    assert!(instances.len() > 2, "it changed {} times", instances.len());
}

#[tokio::test]
async fn connections_outlive_a_change_that_keeps_their_instance_and_no_other() {
    let proxy = Proxy::start().await;
    let closed = Arc::new(Notify::new());
    let told = Arc::clone(&closed);
    let instance = Instance::raw(move |mut stream| {
        let told = Arc::clone(&told);
        async move {
            let mut some = [0; 4096];
            while stream.read(&mut some).await.is_ok_and(|count| count > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").await;
            }
            told.notify_one();
        }
    })
    .await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    let mut connection = proxy.connect().await;
    for (generation, weight) in [(2, 10_000), (3, 9_000)] {
        let there = &[instance.address][..];
        proxy.put(generation, &[("a", weight, there), ("b", 10_000 - weight, there)]).await;
        assert_eq!(connection.get("/").await.1, "a");
    }
    assert_eq!(instance.connections.load(SeqCst), 1);
    proxy.put(4, &[("a", 0, &[])]).await;
    within(closed.notified()).await;
}

#[tokio::test]
async fn older_and_differing_routes_are_refused() {
    let proxy = Proxy::start().await;
    let instance = Instance::named("a").await;
    let one = proxy.route(7, &[("a", 10_000, &[instance.address])]);
    let other = proxy.route(7, &[("a", 0, &[])]);
    let older = proxy.route(6, &[("a", 0, &[])]);
    for (route, expected) in [
        (&one, RouteAnswer::Applied),
        (&one, RouteAnswer::Applied),
        (&other, RouteAnswer::Stale { generation: 7 }),
        (&older, RouteAnswer::Stale { generation: 7 }),
    ] {
        assert_eq!(proxy.client.put_route("web", route).await.expect("an answer"), expected);
    }
    assert_eq!(proxy.get("/").await, (StatusCode::OK, "a".to_owned()));
    let wrong = proxy.client.put_route("web", &proxy.route(8, &[("a", 5, &[instance.address])])).await;
    assert_eq!(wrong.expect_err("refused").to_string(), "the weights sum to 5, not to 10000 (or all 0)");
}

#[tokio::test]
async fn a_restarted_proxy_serves_its_last_routes() {
    let mut proxy = Proxy::start().await;
    let instance = Instance::named("a").await;
    proxy.put(3, &[("a", 10_000, &[instance.address])]).await;
    let before = proxy.client.stats().await.expect("stats").epoch;
    proxy.restart().await;
    assert_eq!(proxy.get("/").await, (StatusCode::OK, "a".to_owned()));
    let stats = proxy.client.stats().await.expect("stats");
    assert_eq!((stats.services["web"].generation, stats.services["web"].counts["a"].users.requests), (3, 1));
    assert_ne!(stats.epoch, before);
    assert_eq!(proxy.client.remove("web", 4).await.expect("an answer"), RemoveAnswer::Removed);
    proxy.restart().await;
    assert_eq!(proxy.client.stats().await.expect("stats").services.len(), 0);
}

#[tokio::test]
async fn what_was_removed_does_not_come_back_by_a_late_hand() {
    let mut proxy = Proxy::start().await;
    let instance = Instance::named("a").await;
    let route = |generation, proxy: &Proxy| proxy.route(generation, &[("a", 10_000, &[instance.address])]);
    proxy.put(5, &[("a", 10_000, &[instance.address])]).await;
    assert_eq!(proxy.client.remove("web", 4).await.expect("an answer"), RemoveAnswer::Stale { generation: 5 });
    assert_eq!(proxy.get("/").await, (StatusCode::OK, "a".to_owned()));
    for _ in 0..2 {
        assert_eq!(proxy.client.remove("web", 7).await.expect("an answer"), RemoveAnswer::Removed);
    }
    for restarted in [false, true] {
        if restarted {
            proxy.restart().await;
        }
        for late in [5, 6, 7] {
            let answer = proxy.client.put_route("web", &route(late, &proxy)).await.expect("an answer");
            assert_eq!(answer, RouteAnswer::Stale { generation: 7 }, "restarted: {restarted}");
        }
        // A removal that is late takes nothing back of what a later one said.
        assert_eq!(proxy.client.remove("web", 3).await.expect("an answer"), RemoveAnswer::Removed);
        assert_eq!(proxy.client.stats().await.expect("stats").services.len(), 0, "restarted: {restarted}");
    }
    // The removal may even come before the first route.
    assert_eq!(proxy.client.remove("other", 2).await.expect("an answer"), RemoveAnswer::Removed);
    assert_eq!(proxy.client.put_route("other", &route(2, &proxy)).await.expect("an answer"), RouteAnswer::Stale { generation: 2 });
    proxy.put(8, &[("a", 10_000, &[instance.address])]).await;
    assert_eq!(proxy.get("/").await, (StatusCode::OK, "a".to_owned()));
    let unnamed = proxy.client.remove("a/b", 1).await.expect_err("refused").to_string();
    assert_eq!(unnamed, "there is no DELETE /services/a/b here");
}

/// A newer route that is put while an older hand takes the service away stays, whichever comes first.
#[tokio::test]
async fn removing_and_routing_at_once_ends_with_the_newer() {
    let proxy = Proxy::start().await;
    let instance = Instance::named("a").await;
    for round in 0..20 {
        let (older, newer) = (round * 2 + 1, round * 2 + 2);
        let routed = proxy.route(newer, &[("a", 10_000, &[instance.address])]);
        let (routed, removed) = tokio::join!(proxy.client.put_route("web", &routed), proxy.client.remove("web", older));
        assert_eq!(routed.expect("an answer"), RouteAnswer::Applied);
        removed.expect("an answer");
        assert_eq!(proxy.stats().await.generation, newer);
    }
}

#[tokio::test]
async fn a_taken_port_is_named_and_served_once_it_is_free() {
    let proxy = Proxy::start().await;
    let instance = Instance::named("a").await;
    let taker = std::net::TcpListener::bind(("127.0.0.1", proxy.port)).expect("the port is free");
    let answer = proxy.client.put_route("web", &proxy.route(1, &[("a", 10_000, &[instance.address])])).await;
    let Err(ClientError::Refused { sentence, .. }) = answer else { panic!("{answer:?}") };
    assert!(sentence.starts_with(&format!("port {} is taken by another process; stop it", proxy.port)), "{sentence}");
    assert_eq!(proxy.stats().await.bound, Bound::Failed { reason: sentence });
    drop(taker);
    eventually(async || (proxy.stats().await.bound == Bound::Listening).then_some(())).await;
    assert_eq!(proxy.get("/").await, (StatusCode::OK, "a".to_owned()));
}

#[tokio::test]
async fn a_service_moves_to_another_port() {
    let mut proxy = Proxy::start().await;
    let instance = Instance::named("a").await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    let before = std::mem::replace(&mut proxy.port, free_port());
    proxy.put(2, &[("a", 10_000, &[instance.address])]).await;
    assert_eq!(proxy.get("/").await, (StatusCode::OK, "a".to_owned()));
    eventually(async || std::net::TcpListener::bind(("127.0.0.1", before)).ok()).await;
}

#[tokio::test]
async fn two_proxies_do_not_share_a_directory() {
    let proxy = Proxy::start().await;
    let second = run(Config::new(proxy.dir.path()));
    assert!(matches!(second, Err(Error::AlreadyRunning { pid: Some(pid), .. }) if pid == std::process::id()), "{second:?}");
    proxy.client.health().await.expect("the first one still answers");
}

#[tokio::test]
async fn synthetic_requests_are_labelled_and_counted_apart() {
    let proxy = Proxy::start().await;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let instance = Instance::start(move |request| {
        let label = request.headers().get("x-plimsoll-synthetic").map(|it| it.to_str().expect("text").to_owned());
        noted.lock().expect("a lock").push((request.uri().path().to_owned(), label));
        async { text(StatusCode::OK, "fine") }
    })
    .await;
    let mut route = proxy.route(1, &[("old", 10_000, &[instance.address]), ("new", 0, &[instance.address]), ("idle", 0, &[])]);
    let paths = ["/a", "/b"].map(str::to_owned).to_vec();
    route.synthetic = Some(Synthetic { paths, interval_ms: 10, revisions: vec!["new".to_owned()] });
    proxy.client.put_route("web", &route).await.expect("an answer");
    let mut forged = proxy.connect().await;
    forged.send(request("GET", "/user", &[("x-plimsoll-synthetic", "1")])).await;
    let counts = eventually(async || {
        let counts = proxy.stats().await.counts;
        let enough = ["old", "new"].iter().all(|it| counts[*it].synthetic.requests >= 4);
        enough.then_some(counts)
    })
    .await;
    assert_eq!((counts["old"].users.requests, counts["new"].users.requests, counts["old"].synthetic.bad), (1, 0, 0));
    assert_eq!(counts["idle"].synthetic.requests, 0);
    let seen = seen.lock().expect("a lock");
    let labelled = |path: &str| seen.iter().filter(|it| it.0 == path).map(|it| it.1.as_deref()).collect::<Vec<_>>();
    assert!(labelled("/a").len() >= 3 && labelled("/b").len() >= 3, "{seen:?}");
    assert!(labelled("/a").iter().chain(&labelled("/b")).all(|it| *it == Some("1")), "{seen:?}");
    assert_eq!(labelled("/user"), [None]);
}
