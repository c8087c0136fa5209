/// How a reduction makes one number of two.
public enum Reduction: String, Sendable, Hashable, CaseIterable {
  case sum
  case maximum
}
