import JSONText
import TestSupport

extension SchemaChecker {
  /// Of the schemas of `docs/schemas`.
  init() throws {
    var schemas: [String: JSON] = [:]
    for name in Checkout.names(in: "docs/schemas") {
      schemas["\(name).json"] = try Checkout.json("docs/schemas/\(name).json")
    }
    self.init(schemas)
  }
}

// MARK: - What a schema describes

extension JSON {
  /// The bounds of all numbers that a schema describes.
  var bounds: [Double] {
    switch self {
    case .object(let keywords):
      keywords.flatMap { keyword in
        ["minimum", "maximum", "exclusiveMinimum"].contains(keyword.key) ? [keyword.value.double] : keyword.value.bounds
      }
    case .array(let schemas): schemas.flatMap(\.bounds)
    default: []
    }
  }

  /// The properties of all objects that a schema describes in its own file, but not the conditions of a oneOf on
  /// properties that are described elsewhere.
  var describedProperties: [(key: String, property: JSON)] {
    guard case .object(let keywords) = self else {
      if case .array(let schemas) = self { return schemas.flatMap(\.describedProperties) }
      return []
    }
    return keywords.flatMap { keyword -> [(key: String, property: JSON)] in
      switch (keyword.key, keyword.value) {
      case ("properties", .object(let properties)):
        return properties.flatMap { [($0.key, $0.value)] + $0.value.describedProperties }
      case ("oneOf", .array(let branches)) where member("properties") != nil:
        return branches.filter { $0.member("type") != nil }.flatMap(\.describedProperties)
      default: return keyword.value.describedProperties
      }
    }
  }
}
