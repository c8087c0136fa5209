/// How a reduction makes one number of two.
package enum Reduction: String, Sendable, Hashable, CaseIterable {
  case sum
  case maximum
}
