// Package mongo keeps the broker's state in MongoDB: a standalone server, a replica set or a sharded cluster, all by the same code.
// It owns documents, indexes and the schema's version. What may be done with the state is left to the packages that declare the
// contracts.
//
// # How it stays right without transactions
//
//   - Reads go to the primary, with majority read concern; writes are acknowledged by the majority, journaled.
//   - Uniqueness is by _id alone. Every method is one conditional write of one document, or a sequence of them in which every
//     prefix is safe.
//   - A write whose answer was lost may have happened. Writes that may be repeated are repeated once. Every other one names itself
//     in the field act, by a random value of its own: the document is read again, and a write that finds its own name has
//     succeeded. Otherwise nobody can tell, and the answer is fault.Unavailable "store_unavailable"; it is never a guess.
//   - Expiry is compared in every filter. TTL indexes and Sweep only clean up, the former an hour late, so that a database whose
//     clock is ahead removes nothing that a broker still counts on.
//
// Retryable writes are used where the server has them and never needed. Sessions, transactions, change streams, pipeline updates,
// collations, unique and partial indexes are not used.
package mongo
