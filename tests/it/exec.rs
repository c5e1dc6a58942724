//! What agents type into containers of the hotel application, and what they read there.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::sim::store::Kind;
use aiopslab::cluster::{ApiError, Cluster, ExecOutput, ExecRequest, Identity};
use expect_test::{Expect, expect};

fn hotel() -> SimCluster {
    Hotel::deployed(3).cluster
}

/// The pod of a Deployment.
fn pod(cluster: &SimCluster, deployment: &str) -> String {
    let pods = cluster.world.store.list(Kind::POD, Some(NS));
    let found = pods.filter(|p| p.label("io.kompose.service") == Some(deployment)).map(|p| p.name().to_owned());
    found.last().unwrap_or_else(|| panic!("no pod of {deployment}"))
}

pub fn run(cluster: &mut SimCluster, deployment: &str, argv: &[&str], stdin: &str) -> ExecOutput {
    try_run(cluster, deployment, argv, stdin).expect("runs")
}

fn try_run(cluster: &mut SimCluster, deployment: &str, argv: &[&str], stdin: &str) -> Result<ExecOutput, ApiError> {
    let request = ExecRequest {
        namespace: NS.into(),
        pod: pod(cluster, deployment).into(),
        container: None,
        argv: argv.iter().map(|a| (*a).to_owned()).collect(),
        stdin: stdin.as_bytes().to_vec(),
    };
    cluster.exec(&Identity::operator(), &request)
}

/// Output and errors, with what is random masked.
fn shown(cluster: &SimCluster, deployment: &str, output: &ExecOutput) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    if output.exit_code != 0 {
        text.push_str(&format!("[exit {}]\n", output.exit_code));
    }
    let mask = |text: &str, pattern: &str, by: &str| regex::Regex::new(pattern).expect("valid").replace_all(text, by).into_owned();
    let text = text.replace(&pod(cluster, deployment), "POD");
    let text = mask(&text, "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID");
    mask(&text, r"10\.(244|96|\d+)\.\d+\.\d+", "IP")
}

pub fn check(cluster: &mut SimCluster, deployment: &str, argv: &[&str], expect: Expect) {
    match try_run(cluster, deployment, argv, "") {
        Ok(output) => expect.assert_eq(&shown(cluster, deployment, &output)),
        Err(error) => {
            let id = regex::Regex::new("[0-9a-f]{64}").expect("valid");
            expect.assert_eq(&format!("{}\n", id.replace_all(&error.message, "ID")));
        }
    }
}

#[test]
fn mongo_knows_its_users_and_answers_as_the_shell_does() {
    let mut cluster = hotel();
    let c = &mut cluster;
    let root = |script: &'static str| {
        ["mongo", "admin", "-u", "root", "-p", "root", "--authenticationDatabase", "admin", "--quiet", "--eval", script]
    };
    check(
        c,
        "mongodb-geo",
        &root("db.getUser('admin')"),
        expect![[r#"
            {
            	"_id" : "admin.admin",
            	"userId" : UUID("UUID"),
            	"user" : "admin",
            	"db" : "admin",
            	"roles" : [
            		{
            			"role" : "userAdminAnyDatabase",
            			"db" : "admin"
            		},
            		{
            			"role" : "readWrite",
            			"db" : "geo-db"
            		}
            	],
            	"mechanisms" : [
            		"SCRAM-SHA-1",
            		"SCRAM-SHA-256"
            	]
            }
        "#]],
    );
    check(
        c,
        "mongodb-geo",
        &["mongo", "admin", "--eval", "db.getUsers()"],
        expect![[r#"
            MongoDB shell version v4.4.6
            connecting to: mongodb://127.0.0.1:27017/admin?compressors=disabled&gssapiServiceName=mongodb
            Implicit session: session { "id" : UUID("UUID") }
            MongoDB server version: 4.4.6
            uncaught exception: Error: command usersInfo requires authentication :
            _getErrorWithCode@src/mongo/shell/utils.js:25:13
            DB.prototype.getUsers@src/mongo/shell/db.js:1656:15
            @(shell eval):1:1
            exiting with code -4
            [exit 252]
        "#]],
    );
    check(
        c,
        "mongodb-geo",
        &["mongo", "-u", "admin", "-p", "wrong", "--authenticationDatabase", "admin"],
        expect![[r#"
            MongoDB shell version v4.4.6
            connecting to: mongodb://127.0.0.1:27017/?authSource=admin&compressors=disabled&gssapiServiceName=mongodb
            Error: Authentication failed. :
            connect@src/mongo/shell/mongo.js:374:17
            @(connect):2:6
            exception: connect failed
            exiting with code 1
            [exit 1]
        "#]],
    );
    check(
        c,
        "mongodb-geo",
        &root("db.getSiblingDB('geo-db').geo.find().limit(2)"),
        expect![[r#"
            { "_id" : ObjectId("6968b9a0e592107496940000"), "hotelId" : "1", "lat" : 37.7867, "lon" : -122.4112 }
            { "_id" : ObjectId("6968b9a0e592107496940001"), "hotelId" : "2", "lat" : 37.7854, "lon" : -122.4005 }
        "#]],
    );
    check(
        c,
        "mongodb-geo",
        &root("db.getSiblingDB('rate-db').inventory.count()"),
        expect![[r#"
            uncaught exception: Error: count failed: {
            	"ok" : 0,
            	"errmsg" : "not authorized on rate-db to execute command { count: \"inventory\", query: {}, $db: \"rate-db\" }",
            	"code" : 13,
            	"codeName" : "Unauthorized"
            } :
            _getErrorWithCode@src/mongo/shell/utils.js:25:13
            DBQuery.prototype.count@src/mongo/shell/query.js:376:11
            @(shell eval):1:1
            exiting with code -4
            [exit 252]
        "#]],
    );
    check(
        c,
        "mongodb-geo",
        &root("show dbs"),
        expect![[r#"
            uncaught exception: SyntaxError: unexpected token: identifier :
            @(shell eval):1:6
            exiting with code -4
            [exit 252]
        "#]],
    );
    check(
        c,
        "mongodb-geo",
        &root("rs.status()"),
        expect![[r#"
            {
            	"ok" : 0,
            	"errmsg" : "not authorized on admin to execute command { replSetGetStatus: 1, $db: \"admin\" }",
            	"code" : 13,
            	"codeName" : "Unauthorized"
            }
        "#]],
    );
    check(
        c,
        "mongodb-user",
        &["mongo", "user-db", "--quiet", "--eval", "db.user.count()"],
        expect![[r#"
            501
        "#]],
    );
    check(
        c,
        "mongodb-user",
        &["mongo", "--quiet", "--host", "mongodb-geo", "--port", "27777", "--eval", "1"],
        expect![[r#"
            Error: couldn't connect to server mongodb-geo:27777, connection attempt failed: SocketException: Error connecting to mongodb-geo:27777 (IP:27777) :: caused by :: Connection refused :
            connect@src/mongo/shell/mongo.js:374:17
            @(connect):2:6
            exception: connect failed
            exiting with code 1
            [exit 1]
        "#]],
    );
    let output = run(
        c,
        "mongodb-user",
        &["mongo", "--quiet"],
        "show dbs\nuse user-db\nshow collections\ndb.user.findOne({username: 'Cornell_0'})\n",
    );
    expect![[r#"
        admin    0.000GB
        config   0.000GB
        local    0.000GB
        user-db  0.000GB
        switched to db user-db
        user
        {
        	"_id" : ObjectId("6968b9a095debc0025f50000"),
        	"username" : "Cornell_0",
        	"password" : "84d9c4b849506b6d8f8075a9000e7e0a254be71060ea889fad3c88395988f4fc"
        }
        bye
    "#]]
    .assert_eq(&shown(c, "mongodb-user", &output));
}

#[test]
fn a_revoked_role_is_seen_by_the_service_and_restored_by_hand() {
    let mut cluster = hotel();
    let c = &mut cluster;
    let admin =
        |script: &'static str| ["mongo", "admin", "-u", "admin", "-p", "admin", "--authenticationDatabase", "admin", "--eval", script];
    check(
        c,
        "mongodb-geo",
        &admin("db.revokeRolesFromUser('admin', [{role: 'readWrite', db: 'geo-db'}]);"),
        expect![[r#"
            MongoDB shell version v4.4.6
            connecting to: mongodb://127.0.0.1:27017/admin?authSource=admin&compressors=disabled&gssapiServiceName=mongodb
            Implicit session: session { "id" : UUID("UUID") }
            MongoDB server version: 4.4.6
        "#]],
    );
    check(
        c,
        "mongodb-geo",
        &["cat", "/scripts/list-users.sh"],
        expect![[r##"
            #!/bin/bash
            # Prints the users that mongodb-geo knows and their roles.
            mongo admin -u root -p root --authenticationDatabase admin --quiet --eval "db.getUsers()"
        "##]],
    );
    check(
        c,
        "mongodb-geo",
        &["bash", "/scripts/list-users.sh"],
        expect![[r#"
            [
            	{
            		"_id" : "admin.admin",
            		"userId" : UUID("UUID"),
            		"user" : "admin",
            		"db" : "admin",
            		"roles" : [
            			{
            				"role" : "userAdminAnyDatabase",
            				"db" : "admin"
            			}
            		],
            		"mechanisms" : [
            			"SCRAM-SHA-1",
            			"SCRAM-SHA-256"
            		]
            	},
            	{
            		"_id" : "admin.root",
            		"userId" : UUID("UUID"),
            		"user" : "root",
            		"db" : "admin",
            		"roles" : [
            			{
            				"role" : "userAdminAnyDatabase",
            				"db" : "admin"
            			},
            			{
            				"role" : "readWrite",
            				"db" : "geo-db"
            			}
            		],
            		"mechanisms" : [
            			"SCRAM-SHA-1",
            			"SCRAM-SHA-256"
            		]
            	}
            ]
        "#]],
    );
    check(
        c,
        "mongodb-geo",
        &["/scripts/list-users.sh"],
        expect![[r#"
            Internal error occurred: Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "ID": OCI runtime exec failed: exec failed: unable to start container process: exec: "/scripts/list-users.sh": permission denied: unknown
        "#]],
    );
    check(
        c,
        "mongodb-geo",
        &admin("db.getUser('admin').roles.length"),
        expect![[r#"
            MongoDB shell version v4.4.6
            connecting to: mongodb://127.0.0.1:27017/admin?authSource=admin&compressors=disabled&gssapiServiceName=mongodb
            Implicit session: session { "id" : UUID("UUID") }
            MongoDB server version: 4.4.6
            1
        "#]],
    );
    check(
        c,
        "mongodb-geo",
        &admin("db.grantRolesToUser('admin', [{role: 'readwrite', db: 'geo-db'}])"),
        expect![[r#"
            MongoDB shell version v4.4.6
            connecting to: mongodb://127.0.0.1:27017/admin?authSource=admin&compressors=disabled&gssapiServiceName=mongodb
            Implicit session: session { "id" : UUID("UUID") }
            MongoDB server version: 4.4.6
            uncaught exception: Error: No role named readwrite@geo-db :
            _getErrorWithCode@src/mongo/shell/utils.js:25:13
            DB.prototype.grantRolesToUser@src/mongo/shell/db.js:1619:15
            @(shell eval):1:1
            exiting with code -4
            [exit 252]
        "#]],
    );
}

#[test]
fn a_container_shows_its_files_environment_and_ports() {
    let mut cluster = hotel();
    let c = &mut cluster;
    check(
        c,
        "geo",
        &["wget"],
        expect![[r#"
            wget: missing URL
            Usage: wget [OPTION]... [URL]...

            Try `wget --help' for more options.
            [exit 1]
        "#]],
    );
    check(
        c,
        "geo",
        &["netstat", "-tlnp"],
        expect![[r#"
            Internal error occurred: Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "ID": OCI runtime exec failed: exec failed: unable to start container process: exec: "netstat": executable file not found in $PATH: unknown
        "#]],
    );
    check(
        c,
        "geo",
        &["nosuch", "x"],
        expect![[r#"
            Internal error occurred: Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "ID": OCI runtime exec failed: exec failed: unable to start container process: exec: "nosuch": executable file not found in $PATH: unknown
        "#]],
    );
    check(
        c,
        "geo",
        &["/bin/nosuch"],
        expect![[r#"
            Internal error occurred: Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "ID": OCI runtime exec failed: exec failed: unable to start container process: exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory: unknown
        "#]],
    );
    check(
        c,
        "geo",
        &["cat", "/etc/resolv.conf"],
        expect![[r#"
            search test-hotel-reservation.svc.cluster.local svc.cluster.local cluster.local
            nameserver IP
            options ndots:5
        "#]],
    );
    check(
        c,
        "geo",
        &["printenv", "JAEGER_SAMPLE_RATIO"],
        expect![[r#"
            1
        "#]],
    );
    check(
        c,
        "geo",
        &["ps", "aux"],
        expect![[r#"
            USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND
            root           1  0.0  0.1 715352 13908 ?        Ssl  00:00   0:00 geo
            root          23  0.0  0.0   8592  3212 ?        R    00:01   0:00 ps aux
        "#]],
    );
    check(
        c,
        "geo",
        &["which", "geo"],
        expect![[r#"
            /go/bin/geo
        "#]],
    );
    check(
        c,
        "geo",
        &["head", "-n", "6", "config.json"],
        expect![[r#"
            {
              "consulAddress": "consul:8500",
              "jaegerAddress": "jaeger:6831",
              "FrontendPort": "5000",
              "GeoPort": "8083",
              "GeoMongoAddress": "mongodb-geo:27017",
        "#]],
    );
    check(
        c,
        "consul",
        &["netstat", "-tln"],
        expect![[r#"
            Active Internet connections (only servers)
            Proto Recv-Q Send-Q Local Address           Foreign Address         State      
            tcp        0      0 0.0.0.0:8500            0.0.0.0:*               LISTEN     
            tcp        0      0 0.0.0.0:8502            0.0.0.0:*               LISTEN     
            tcp        0      0 0.0.0.0:8503            0.0.0.0:*               LISTEN     
            tcp        0      0 0.0.0.0:8600            0.0.0.0:*               LISTEN     
        "#]],
    );
    check(
        c,
        "consul",
        &["consul", "catalog", "services"],
        expect![[r#"
            consul
            srv-geo
            srv-profile
            srv-rate
            srv-recommendation
            srv-reservation
            srv-search
            srv-user
        "#]],
    );
    check(
        c,
        "frontend",
        &["curl", "-sS", "http://consul:8500/v1/catalog/services"],
        expect![[
            r#"{"consul":[],"srv-geo":[],"srv-profile":[],"srv-rate":[],"srv-recommendation":[],"srv-reservation":[],"srv-search":[],"srv-user":[]}"#
        ]],
    );
    check(
        c,
        "frontend",
        &["curl", "-sS", "http://localhost:5000/user?username=john"],
        expect![[r#"
            Please specify username and password
        "#]],
    );
    check(
        c,
        "frontend",
        &["curl", "-sS", "http://mongodb-nothing:1/"],
        expect![[r#"
            curl: (6) Could not resolve host: mongodb-nothing
            [exit 6]
        "#]],
    );
    check(
        c,
        "memcached-rate",
        &["curl", "x"],
        expect![[r#"
            Internal error occurred: Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "ID": OCI runtime exec failed: exec failed: unable to start container process: exec: "curl": executable file not found in $PATH: unknown
        "#]],
    );
    check(
        c,
        "consul",
        &["nslookup", "mongodb-geo"],
        expect![[r#"
            Server:		IP
            Address:	IP:53

            ** server can't find mongodb-geo.cluster.local: NXDOMAIN

            ** server can't find mongodb-geo.svc.cluster.local: NXDOMAIN

            ** server can't find mongodb-geo.cluster.local: NXDOMAIN

            ** server can't find mongodb-geo.svc.cluster.local: NXDOMAIN

            Name:	mongodb-geo.test-hotel-reservation.svc.cluster.local
            Address: IP

            [exit 1]
        "#]],
    );
    check(
        c,
        "consul",
        &["nc", "-zv", "mongodb-geo", "27777"],
        expect![[r#"
            nc: mongodb-geo (IP:27777): Connection refused
            [exit 1]
        "#]],
    );
}
