//! Scripts in containers, with the interpreter of the feature `bash`.

use crate::exec::check;
use crate::hotel_fixture::Hotel;
use expect_test::expect;

#[test]
fn scripts_speak_as_their_shell_does() {
    let mut cluster = Hotel::deployed(3).cluster;
    let c = &mut cluster;
    check(
        c,
        "geo",
        &["sh", "-c", "cat /etc/resolv.conf | grep nameserver | wc -l; echo $JAEGER_SAMPLE_RATIO"],
        expect![[r#"
        1
        1
    "#]],
    );
    check(
        c,
        "geo",
        &["sh", "-lc", "ss -ltnp || netstat -tulnp"],
        expect![[r#"
        sh: 1: ss: not found
        sh: 1: netstat: not found
        [exit 127]
    "#]],
    );
    check(
        c,
        "geo",
        &["bash", "-c", "nosuch; echo \"EXIT: $?\""],
        expect![[r#"
            EXIT: 127
            bash: line 1: nosuch: command not found
        "#]],
    );
    check(
        c,
        "consul",
        &["sh", "-c", "nosuch; echo $?"],
        expect![[r#"
            127
            sh: nosuch: not found
        "#]],
    );
    check(
        c,
        "geo",
        &["sh", "-c", "cat <<< x"],
        expect![[r#"
        sh: 1: Syntax error: redirection unexpected
        [exit 2]
    "#]],
    );
    check(
        c,
        "geo",
        &["bash", "-c", "echo > /dev/tcp/mongodb-geo/27017 && echo open"],
        expect![[r#"
        open
    "#]],
    );
    check(
        c,
        "geo",
        &["bash", "-c", "echo > /dev/tcp/mongodb-geo/27777; echo \"EXIT: $?\""],
        expect![[r#"
        EXIT: 1
        bash: connect: Connection refused
        bash: line 1: /dev/tcp/mongodb-geo/27777: Connection refused
    "#]],
    );
    check(
        c,
        "geo",
        &["sh", "-c", "echo > /dev/tcp/mongodb-geo/27017"],
        expect![[r#"
        sh: 1: cannot create /dev/tcp/mongodb-geo/27017: Directory nonexistent
        [exit 1]
    "#]],
    );
    check(
        c,
        "geo",
        &["sh", "-c", "tr '\\0' '\\n' < /proc/1/environ | grep -c JAEGER; tr '\\0' ' ' < /proc/1/cmdline"],
        expect![[r#"
        51
        geo "#]],
    );
    check(
        c,
        "geo",
        &["ls", "-l", "/go/bin"],
        expect![[r#"
            total 32
            -rwxr-xr-x 1 root root 105 Jan  1 00:00 frontend
            -rwxr-xr-x 1 root root 128 Jan  1 00:00 geo
            -rwxr-xr-x 1 root root 167 Jan  1 00:00 profile
            -rwxr-xr-x 1 root root 158 Jan  1 00:00 rate
            -rwxr-xr-x 1 root root 140 Jan  1 00:00 recommendation
            -rwxr-xr-x 1 root root 167 Jan  1 00:00 reservation
            -rwxr-xr-x 1 root root 103 Jan  1 00:00 search
            -rwxr-xr-x 1 root root 130 Jan  1 00:00 user
        "#]],
    );
    check(
        c,
        "geo",
        &["bash", "-c", "for s in geo rate; do getent hosts mongodb-$s >/dev/null && echo $s ok; done"],
        expect![[r#"
        geo ok
        rate ok
    "#]],
    );
    check(
        c,
        "frontend",
        &[
            "sh",
            "-c",
            "curl -s -o /dev/null -w '%{http_code}\\n' 'http://localhost:5000/hotels?inDate=2015-04-09&outDate=2015-04-10&lat=37.7749&lon=-122.4194'",
        ],
        expect![[r#"
        200
    "#]],
    );
    check(
        c,
        "frontend",
        &["sh", "-lc", "apk add --no-cache curl >/dev/null 2>&1 || true; curl -sS http://localhost:5000/health"],
        expect![[r#"
        404 page not found
    "#]],
    );
    check(
        c,
        "consul",
        &["sh", "-c", "wget -qO- http://frontend:5000/user || echo failed; wget -S -O- http://search:8082/health"],
        expect![[r#"
        failed
        wget: server returned error: HTTP/1.1 400 Bad Request
        Connecting to search:8082 (IP:8082)
        wget: error getting response
        [exit 1]
    "#]],
    );
    check(
        c,
        "mongodb-geo",
        &["sh", "-lc", "ls -l /scripts | awk '{print $NF}'; echo ---; ls /docker-entrypoint-initdb.d"],
        expect![[r#"
            0
            ..data/list-collections.sh
            ..data/list-users.sh
            ---
            k8s-geo-mongo.sh
        "#]],
    );
    check(
        c,
        "mongodb-rate",
        &["bash", "-lc", "mongo admin -u root -p root --quiet --eval \"printjson(db.getUser(\\\"admin\\\").roles)\""],
        expect![[r#"
        [
        	{
        		"role" : "userAdminAnyDatabase",
        		"db" : "admin"
        	},
        	{
        		"role" : "readWrite",
        		"db" : "rate-db"
        	}
        ]
    "#]],
    );
    check(
        c,
        "mongodb-rate",
        &["bash", "-c", "mongo --quiet <<'EOF'\nuse admin\ndb.auth('root','root')\nshow dbs\nEOF"],
        expect![[r#"
        switched to db admin
        1
        admin    0.000GB
        config   0.000GB
        local    0.000GB
        rate-db  0.000GB
        bye
    "#]],
    );
    check(
        c,
        "mongodb-rate",
        &["bash", "-c", "echo hello > /tmp/x; cat /tmp/x"],
        expect![[r#"
        hello
    "#]],
    );
    check(
        c,
        "mongodb-rate",
        &["cat", "/tmp/x"],
        expect![[r#"
        hello
    "#]],
    );
    check(
        c,
        "geo",
        &["sh", "-c", "sleep 5; date -u +%S; hostname | cut -c1-4; id -u; whoami; env | grep -c FRONTEND"],
        expect![[r#"
            05
            geo-
            0
            root
            8
        "#]],
    );
    check(
        c,
        "geo",
        &["jq", "."],
        expect![[r#"
            Internal error occurred: Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "ID": OCI runtime exec failed: exec failed: unable to start container process: exec: "jq": executable file not found in $PATH: unknown
        "#]],
    );
    check(
        c,
        "geo",
        &["python3", "-c", "print(1)"],
        expect![[r#"
            Internal error occurred: Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "ID": OCI runtime exec failed: exec failed: unable to start container process: exec: "python3": executable file not found in $PATH: unknown
        "#]],
    );
    check(
        c,
        "geo",
        &["find", "/go/src/github.com/harlow/go-micro-services", "-name", "config.json"],
        expect![[r#"
        /go/src/github.com/harlow/go-micro-services/config.json
    "#]],
    );
    check(
        c,
        "geo",
        &["sh", "-c", "strings $(which geo) | grep -i mongo | head -n 5"],
        expect![[r#"
            GeoMongoAddress
        "#]],
    );
    check(
        c,
        "memcached-rate",
        &["sh", "-c", "ps aux || echo none"],
        expect![[r#"
        none
        sh: 1: ps: not found
    "#]],
    );
}
