// Package mongotest gives tests a MongoDB: which server, a fresh database for each test, and a proxy that fails on command.
//
// The server is the first of these that can be had, one for each test process:
//
//  1. the one BROKER_TEST_MONGO_URI names: a real server, replica set or cluster;
//  2. the stand-in under store/mongo/testserver, where a JDK and Maven are installed: built once into the user's cache
//     folder, kept in memory, ended with the test process;
//  3. the image mongo as a replica set of one, where a Docker engine answers.
//
// Where none can be had the test is skipped and says why; with CI=true it fails, since nothing may be left out there.
//
// It belongs to the tests of store/mongo and of cmd/broker; the product never imports it.
//
// # What the stand-in does not do
//
// The stand-in (mongo-java-server 1.47) is a server process of its own that speaks the wire protocol. Conditional updates,
// findOneAndUpdate, findOneAndDelete, inserts and upserts under one _id are atomic in it: TestServerKeepsItsPromises races
// all of them and holds a real server to the same words. The code of store/mongo must not need what it lacks:
//
//   - sessions and transactions, hence retryable writes too: the driver sends none, each write is tried once;
//   - updates written as a pipeline (an error), and collations (accepted, not applied);
//   - the positional $ together with $elemMatch (use arrayFilters);
//   - partial index filters: not applied, so that their index may be refused over documents it should not see;
//   - the removal of expired documents: a TTL index is accepted and never acts, as code that compares expiry itself expects;
//   - the command hello by its name, and replSetGetStatus: CommandNotFound (59) means that the topology is unknown; the
//     older isMaster is answered;
//   - the order of fields: after an upsert _id may stand last;
//   - replication: write and read concerns, majority among them, are accepted and mean nothing, and there is no failover.
//
// A crash is not survived: its memory goes with it. What must outlive a kill of the broker does, since the server is
// another process.
package mongotest
