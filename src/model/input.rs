//! From the bytes of a dataset to the real numbers that a network was trained on.

use super::float::InputTransform;

/// Why an input transform cannot be made.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// A value that is no number.
    #[error("'{text}' in the list '{list}' is not a number")]
    Number {
        /// The value.
        text: String,
        /// The list it is in.
        list: String,
    },
    /// A standard deviation by which nothing can be divided.
    #[error("a standard deviation of {0}: it has to be positive")]
    Deviation(f32),
    /// Lists of different lengths, neither of one value.
    #[error(
        "{means} means, but {deviations} standard deviations: give one, or one a channel, of each"
    )]
    Lengths {
        /// Means.
        means: usize,
        /// Standard deviations.
        deviations: usize,
    },
}

impl InputTransform {
    /// `(byte - mean[c]) / deviation[c]`, in units of bytes, from lists such as `123.675,116.28,103.53`:
    /// one value, or one a channel. Training code that divides bytes by 255 first states 1/255 of these.
    ///
    /// # Errors
    /// A value is no finite number, a deviation is not positive, or the lists do not fit together.
    pub fn from_mean_std(mean: &str, deviation: &str) -> Result<Self, Error> {
        let (mean, deviation) = (numbers(mean)?, numbers(deviation)?);
        if mean.len() != deviation.len() && mean.len() != 1 && deviation.len() != 1 {
            return Err(Error::Lengths {
                means: mean.len(),
                deviations: deviation.len(),
            });
        }
        if let Some(value) = deviation.iter().find(|value| **value <= 0.0) {
            return Err(Error::Deviation(*value));
        }
        Ok(Self {
            mean,
            factor: deviation.iter().map(|value| 1.0 / value).collect(),
        })
    }

    /// This transform with `next` behind it, which takes this one's result for its bytes. A network file may
    /// start with a transform of its own (see `FloatNetwork::input_transform`); what the user states goes
    /// before it: `network.input_transform = stated.then(&network.input_transform)`.
    ///
    /// Factors must not be 0.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let lists = [&self.mean, &self.factor, &next.mean, &next.factor];
        let channels = lists.iter().map(|list| list.len()).max().unwrap_or(1);
        let at = |list: &[f32], channel: usize| {
            f64::from(list[if list.len() == 1 { 0 } else { channel }])
        };
        let mut result = Self {
            mean: Vec::with_capacity(channels),
            factor: Vec::with_capacity(channels),
        };
        for channel in 0..channels {
            let factor = at(&self.factor, channel);
            // ((x - m) f - m') f' = (x - (m + m' / f)) f f'
            let mean = at(&self.mean, channel) + at(&next.mean, channel) / factor;
            #[allow(clippy::cast_possible_truncation)]
            {
                result.mean.push(mean as f32);
                result
                    .factor
                    .push((factor * at(&next.factor, channel)) as f32);
            }
        }
        result
    }
}

fn numbers(list: &str) -> Result<Vec<f32>, Error> {
    let number = |text: &str| {
        let error = || Error::Number {
            text: text.to_owned(),
            list: list.to_owned(),
        };
        let value: f32 = text.trim().parse().map_err(|_| error())?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(error())
        }
    };
    list.split(',').map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::{Error, InputTransform};

    #[test]
    fn lists_of_means_and_deviations() {
        let transform =
            InputTransform::from_mean_std("123.675, 116.28,103.53", "58.395,57.12,57.375");
        let expected = InputTransform {
            mean: vec![123.675, 116.28, 103.53],
            factor: vec![1.0 / 58.395, 1.0 / 57.12, 1.0 / 57.375],
        };
        assert_eq!(transform, Ok(expected));
        assert!(InputTransform::from_mean_std("1", "2,3,4").is_ok());
        assert_eq!(
            InputTransform::from_mean_std("1,2", "2,3,4"),
            Err(Error::Lengths {
                means: 2,
                deviations: 3
            })
        );
        assert_eq!(
            InputTransform::from_mean_std("1", "0"),
            Err(Error::Deviation(0.0))
        );
        for text in ["", "a", "1,,2", "nan", "inf"] {
            assert!(
                matches!(
                    InputTransform::from_mean_std(text, "1"),
                    Err(Error::Number { .. })
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn one_transform_after_another() {
        let first = InputTransform {
            mean: vec![10.0, 20.0],
            factor: vec![0.5, 2.0],
        };
        let second = InputTransform {
            mean: vec![3.0],
            factor: vec![4.0],
        };
        // ((x - 10) / 2 - 3) * 4 = (x - 16) * 2; ((x - 20) * 2 - 3) * 4 = (x - 21.5) * 8
        let expected = InputTransform {
            mean: vec![16.0, 21.5],
            factor: vec![2.0, 8.0],
        };
        assert_eq!(first.then(&second), expected);
        assert_eq!(InputTransform::default().then(&first), first);
        assert_eq!(first.then(&InputTransform::default()), first);
    }
}
