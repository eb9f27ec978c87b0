/**
 * The RSA keys of CVE-2017-15361: their primes are made from powers of 65537, so that the modulus is one as well to
 * every small prime. A sound modulus is that by chance once in 2^28.
 */
const smallPrimes = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
  109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

const powers = smallPrimes.map((prime) => {
  const reached = new Set<number>();
  for (let power = 1; !reached.has(power); power = (power * 65_537) % prime) reached.add(power);
  return reached;
});

export function hasWeakModulus(modulus: bigint): boolean {
  return smallPrimes.every((prime, i) => powers[i]!.has(Number(modulus % BigInt(prime))));
}
