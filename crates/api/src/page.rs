//! Offset paging (behaviour §1.3).

use crate::ResultInfo;

/// The most elements a page may have.
pub const PER_PAGE_MAX: u64 = 100;

/// A page asked for by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetPage {
    /// From 1.
    pub page: u64,
    /// From 1 to [`PER_PAGE_MAX`].
    pub per_page: u64,
}

impl OffsetPage {
    /// Elements before the page; saturates, so that a page past any end is empty.
    pub fn offset(self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(self.per_page)
    }

    /// What `result_info` says of the page.
    pub fn info(self, count: usize, total: u64) -> ResultInfo {
        ResultInfo {
            count: count as u64,
            per_page: self.per_page,
            total_count: total,
            page: Some(self.page),
            total_pages: Some(total.div_ceil(self.per_page.max(1))),
            cursor: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_totals() {
        let page = OffsetPage {
            page: 3,
            per_page: 10,
        };
        assert_eq!(page.offset(), 20);
        assert_eq!(page.info(1, 21).total_pages, Some(3));
        assert_eq!(
            OffsetPage {
                page: u64::MAX,
                per_page: 100
            }
            .offset(),
            u64::MAX
        );
    }
}
