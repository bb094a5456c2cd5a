// A self-signed certificate for 127.0.0.1 and localhost, made anew in each run:
// Node can sign but not write certificates, so the few fields are put into DER
// here.

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

const der = (tag, ...parts) => {
  const body = Buffer.concat(parts);
  const n = body.length;
  const length = n < 0x80 ? [n] : n < 0x100 ? [0x81, n] : [0x82, n >> 8, n & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
};
const sequence = (...parts) => der(0x30, ...parts);
const set = (...parts) => der(0x31, ...parts);
const oid = (hex) => der(0x06, Buffer.from(hex, 'hex'));
const octets = (...parts) => der(0x04, ...parts);
const text = (s) => der(0x0c, Buffer.from(s));
const time = (ms) => der(0x17, Buffer.from(new Date(ms).toISOString().replace(/^..|[-:T]|\.\d+/g, '')));
const yes = der(0x01, Buffer.from([0xff]));

const ecdsaWithSHA256 = sequence(oid('2a8648ce3d040302'));
const commonName = (s) => sequence(set(sequence(oid('550403'), text(s))));
const extension = (id, critical, value) => sequence(oid(id), ...(critical ? [yes] : []), octets(value));

// selfSigned returns { key, cert } in PEM.
export function selfSigned() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = commonName('fake provider');
  const day = 24 * 60 * 60 * 1000;
  const serial = randomBytes(16);
  serial[0] = (serial[0] & 0x7f) | 0x40; // positive, and of full length
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, serial),
    ecdsaWithSHA256,
    name,
    sequence(time(Date.now() - day), time(Date.now() + day)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(
      extension('551d13', true, sequence(yes)), // basic constraints: its own CA
      extension('551d11', false, sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])))),
    )),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, privateKey));
  const lines = sequence(body, ecdsaWithSHA256, signature).toString('base64').match(/.{1,64}/g).join('\n');
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  };
}
