// What iso-ucan says of the tokens and policies on standard input, and tokens of its own: JSON in, JSON out.
import { readFileSync } from 'node:fs'
import { ECDSASigner } from 'iso-signatures/signers/ecdsa.js'
import { EdDSASigner } from 'iso-signatures/signers/eddsa.js'
import { ES256KSigner } from 'iso-signatures/signers/es256k.js'
import { verifier as ecdsa } from 'iso-signatures/verifiers/ecdsa.js'
import { verifier as eddsa } from 'iso-signatures/verifiers/eddsa.js'
import { Resolver } from 'iso-signatures/verifiers/resolver.js'
import { Delegation } from 'iso-ucan/delegation'
import * as Envelope from 'iso-ucan/envelope'
import { Invocation } from 'iso-ucan/invocation'
import { validate } from 'iso-ucan/policy'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'

const DAG_CBOR = 0x71
const FAR = 4_000_000_000
const verifierResolver = new Resolver({ ...eddsa, ...ecdsa })
const bytesOf = (text) => new Uint8Array(Buffer.from(text, 'base64'))
const textOf = (bytes) => Buffer.from(bytes).toString('base64')
const cidOf = async (bytes) => CID.create(1, DAG_CBOR, await sha256.digest(bytes))

async function verdict({ token, proofs, audience }) {
  try {
    const found = new Map()
    for (const proof of proofs) {
      const bytes = bytesOf(proof)
      found.set((await cidOf(bytes)).toString(), await Delegation.from({ bytes, verifierResolver }))
    }
    const resolveProof = async (cid) => found.get(cid.toString())
    await Invocation.from({ bytes: bytesOf(token), audience: { did: audience }, resolveProof, verifierResolver })
    return { ok: true }
  } catch (error) {
    return { ok: false, error: String(error.message) }
  }
}

async function delegate(version, iss, aud, sub, cmd, pol) {
  const payload = { iss: iss.toString(), aud, sub, pol, cmd, nonce: new Uint8Array(12), exp: FAR }
  return sealed('dlg', version, iss, payload)
}

async function sealed(spec, version, signer, payload) {
  const bytes = Envelope.encode(await Envelope.sign({ spec, version, signer, payload }))
  return { bytes, cid: await cidOf(bytes) }
}

async function chain(suite, subject, version) {
  const invoker = await EdDSASigner.generate()
  const root = await delegate(version, subject, invoker.did, subject.did, '/msg', [['==', '.to', 'x']])
  const payload = {
    iss: invoker.did,
    aud: subject.did,
    sub: subject.did,
    cmd: '/msg/send',
    args: { to: 'x', n: [1, -1, 1.5, null, true, 'é'], bytes: new Uint8Array([1, 2]) },
    nonce: new Uint8Array([1]),
    exp: FAR,
    prf: [root.cid],
  }
  const asked = await sealed('inv', version, invoker, payload)
  return { suite, version, subject: subject.did, proofs: [textOf(root.bytes)], token: textOf(asked.bytes) }
}

async function made() {
  const [owner, bob, invoker] = [await EdDSASigner.generate(), await EdDSASigner.generate(), await EdDSASigner.generate()]
  const one = await Delegation.create({ iss: owner, aud: bob.did, sub: owner.did, cmd: '/msg', pol: [], exp: FAR })
  const two = await Delegation.create({ iss: bob, aud: invoker.did, sub: owner.did, cmd: '/msg', pol: [], exp: FAR })
  const options = { iss: invoker, sub: owner.did, cmd: '/msg/send', args: { to: 'x' }, prf: [one, two], exp: FAR }
  const asked = await Invocation.create({ ...options, verifierResolver })
  const proofs = [textOf(one.bytes), textOf(two.bytes)]
  return { suite: 'library', version: Envelope.VERSION, subject: owner.did, proofs, token: textOf(asked.bytes) }
}

const given = JSON.parse(readFileSync(0, 'utf8'))
const verdicts = {}
for (const [name, item] of Object.entries(given.tokens)) verdicts[name] = await verdict(item)
const policies = {}
for (const [name, { policy, args }] of Object.entries(given.policies)) {
  try {
    policies[name] = validate(args, policy)
  } catch (error) {
    policies[name] = String(error.message)
  }
}
const tokens = [await made()]
for (const version of ['1.0.0', '1.0.0-rc.1']) {
  tokens.push(await chain('Ed25519', await EdDSASigner.generate(), version))
  tokens.push(await chain('P-256', await ECDSASigner.generate('P-256'), version))
  tokens.push(await chain('secp256k1', ES256KSigner.generate(), version))
}
process.stdout.write(JSON.stringify({ verdicts, policies, tokens }))
