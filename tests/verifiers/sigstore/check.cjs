// Asks @sigstore/verify about checkpoints and inclusion proofs: a JSON list on standard input, a list of what it says back.
// Each question: {checkpoint, key (base64 of the public key's DER), logID (base64), name, index, hashes, body, what}. `what`:
// "checkpoint" opens the note alone; "inclusion" also leads the proof to its root. An answer is null or the refusal's words.
'use strict'
const path = require('node:path')
const crypto = require('node:crypto')
const fs = require('node:fs')

const theirs = path.join(process.argv[2], '@sigstore', 'verify', 'dist', 'tlog')
const { verifyCheckpoint } = require(path.join(theirs, 'checkpoint.js'))
const { verifyMerkleInclusion } = require(path.join(theirs, 'merkle.js'))

function answer(asked) {
  const publicKey = crypto.createPublicKey({ key: Buffer.from(asked.key, 'base64'), format: 'der', type: 'spki' })
  const tlogs = [{ logID: Buffer.from(asked.logID, 'base64'), baseURL: asked.name, publicKey }]
  const entry = {
    canonicalizedBody: Buffer.from(asked.body, 'base64'),
    inclusionProof: {
      logIndex: String(asked.index),
      hashes: asked.hashes.map((hash) => Buffer.from(hash, 'base64')),
      checkpoint: { envelope: asked.checkpoint },
    },
  }
  try {
    const checkpoint = verifyCheckpoint(entry, tlogs)
    if (asked.what === 'inclusion') verifyMerkleInclusion(entry, checkpoint)
    return null
  } catch (error) {
    return `${error.name}: ${error.message}`
  }
}

process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, 'utf8')).map(answer)))
